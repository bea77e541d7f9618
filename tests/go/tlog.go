// Checks logs with golang.org/x/mod/sumdb: tlog < CASES
//
// One case per input line, one verdict per output line. Whatever goes wrong otherwise ends the
// program, so that a broken set-up is not mistaken for a refused proof.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type testCase struct {
	Kind, Vkey, Origin, Note, Old, Entry, Proof string
	Hashes                                       []string
}

type head struct {
	size int64
	root tlog.Hash
}

var errForm = errors.New("not of the form")

func open(text, vkey, origin string) (head, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		return head{}, errForm
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return head{size, root}, err
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var parsed []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, hash)
	}
	return parsed, nil
}

func checkRecord(c testCase) error {
	parts := strings.SplitN(c.Proof, "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errForm
	}
	digits := strings.TrimPrefix(lines[1], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return err
	}
	// The library leaves the form of a proof to its caller, and a number has one spelling.
	if strconv.FormatInt(index, 10) != digits {
		return errForm
	}
	path, err := hashes(lines[2:])
	if err != nil {
		return err
	}
	at, err := open(parts[1], c.Vkey, c.Origin)
	if err != nil {
		return err
	}
	if index >= at.size {
		return errForm
	}
	entry, err := base64.StdEncoding.DecodeString(c.Entry)
	if err != nil {
		log.Fatal(err)
	}
	return tlog.CheckRecord(path, at.size, at.root, index, tlog.RecordHash(entry))
}

func checkTree(c testCase) error {
	old, err := open(c.Old, c.Vkey, c.Origin)
	if err != nil {
		return err
	}
	now, err := open(c.Note, c.Vkey, c.Origin)
	if err != nil {
		return err
	}
	path, err := hashes(c.Hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, now.size, now.root, old.size, old.root)
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c testCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			log.Fatal(err)
		}
		var err error
		switch c.Kind {
		case "checkpoint":
			_, err = open(c.Note, c.Vkey, c.Origin)
		case "record":
			err = checkRecord(c)
		case "tree":
			err = checkTree(c)
		default:
			log.Fatalf("no such case: %q", c.Kind)
		}
		if err == nil {
			fmt.Fprintln(out, "accepted")
		} else {
			fmt.Fprintln(out, "rejected")
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
