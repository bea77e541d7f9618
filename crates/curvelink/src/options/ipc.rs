//! Who may connect over ipc.

use curvelink_proto::PeerAddress;

/// The processes that may connect to an ipc listener: each that one line admits. Without a line,
/// none may.
///
/// The kernel says who a process is, and nothing that it sends can change that. A peer that no line
/// admits is refused before an octet of it is read:
/// [`Reason::AddressDenied`](crate::Reason::AddressDenied). A group is the one in force when the
/// process connected; its supplementary groups are not asked for (libzmq looks the user up in the
/// group database, which says who may take the group on, and not who has).
///
/// ```
/// use curvelink::{IpcFilter, Options};
/// let options = Options::new().ipc_mode(0o666).ipc_filter(IpcFilter::new().uid(0).gid(27));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct IpcFilter {
    uids: Vec<u32>,
    gids: Vec<u32>,
    pids: Vec<i32>,
}

impl IpcFilter {
    /// Admits nobody.
    pub const fn new() -> Self {
        Self {
            uids: Vec::new(),
            gids: Vec::new(),
            pids: Vec::new(),
        }
    }

    /// Admits a user's processes too.
    #[doc(alias = "ZMQ_IPC_FILTER_UID")]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uids.push(uid);
        self
    }

    /// Admits a group's processes too.
    #[doc(alias = "ZMQ_IPC_FILTER_GID")]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gids.push(gid);
        self
    }

    /// Admits a process too, where the system tells the number. Numbers are used again: name a
    /// process that outlives the listener.
    #[doc(alias = "ZMQ_IPC_FILTER_PID")]
    pub fn pid(mut self, pid: i32) -> Self {
        self.pids.push(pid);
        self
    }

    pub(crate) fn admits(&self, address: &PeerAddress) -> bool {
        match address {
            PeerAddress::Ipc { uid, gid, pid } => {
                self.uids.contains(uid)
                    || self.gids.contains(gid)
                    || pid.is_some_and(|pid| self.pids.contains(&pid))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_admits_and_no_line_admits_nobody() {
        let peer = |pid| PeerAddress::Ipc {
            uid: 1,
            gid: 2,
            pid,
        };
        let known = peer(Some(3));
        assert!(!IpcFilter::new().admits(&known));
        for filter in [
            IpcFilter::new().uid(1),
            IpcFilter::new().gid(2).gid(9),
            IpcFilter::new().uid(9).pid(3),
        ] {
            assert!(filter.admits(&known), "{filter:?}");
        }
        let crossed = IpcFilter::new().uid(2).uid(3).gid(1).gid(3).pid(1).pid(2);
        assert!(!crossed.admits(&known));
        assert!(!IpcFilter::new().pid(3).admits(&peer(None)));
    }
}
