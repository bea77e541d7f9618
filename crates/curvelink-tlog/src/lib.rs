//! Transparency logs without I/O: trees of hashes (RFC 6962), their tiles, signed notes,
//! checkpoints, proofs and cosignatures as C2SP writes them.
//!
//! What is made here is checked by tools that this project did not write, and what they make is
//! checked here. The crate reads and writes no file: whoever keeps a log hands in its hashes.
//!
//! ```
//! use curvelink_tlog::{
//!     Checkpoint, MemoryTree, NoteSigner, TlogProof, TreeHead, leaf_hash, prove_inclusion, root_of,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The log: three entries, a checkpoint that its key has signed, and a proof of the second one.
//! let signer = NoteSigner::from_seed("example.com/log", &[7; 32])?;
//! let mut tree = MemoryTree::default();
//! for entry in ["one", "two", "three"] {
//!     tree.push(leaf_hash(entry.as_bytes()));
//! }
//! let head = TreeHead { size: tree.size(), root: root_of(&tree, tree.size())? };
//! let checkpoint = Checkpoint::new("example.com/log", head)?;
//! let proof = TlogProof {
//!     extra: None,
//!     index: 1,
//!     hashes: prove_inclusion(&tree, 1, head.size)?,
//!     checkpoint: signer.sign(&checkpoint.to_string())?.to_string(),
//! };
//!
//! // A stranger: knows the public key, has the text of the proof and the entry.
//! let proof: TlogProof = proof.to_string().parse()?;
//! let key = signer.verifying_key().to_string().parse()?;
//! assert_eq!(proof.verify(leaf_hash(b"two"), &key, "example.com/log")?, checkpoint);
//! assert!(proof.verify(leaf_hash(b"TWO"), &key, "example.com/log").is_err());
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod cosignature;
mod decimal;
mod frontier;
mod hash;
mod memory;
mod note;
mod proof;
mod tlog_proof;
mod tree;
mod vkey;

pub mod tile;

pub use checkpoint::{Checkpoint, CheckpointError, is_origin};
pub use cosignature::{Cosigner, VerifyingCosignerKey};
pub use frontier::{Frontier, InvalidFrontier};
pub use hash::{EMPTY_ROOT, Hash, InvalidHash, leaf_hash, node_hash};
pub use memory::{MemoryTree, NotInTree};
pub use note::{
    MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteSignature, NoteSigner, VerifyingNoteKey,
};
pub use proof::{Refuted, check_consistency, check_inclusion};
pub use tlog_proof::{MAX_PROOF, TlogProof, TlogProofError};
pub use tree::{HashReader, ProveError, TreeHead, prove_consistency, prove_inclusion, root_of};
pub use vkey::{InvalidKey, ed25519_key_id};
