//! What the processes in a container may do: the least that each needs.

use holdfast_issu::Daemon;
use serde_json::{Value, json};

/// The capabilities of each program. All run as root *without* them: files that belong to root can be opened, nothing else
/// that root may do is possible.
pub fn capabilities(daemon: Daemon) -> &'static [&'static str] {
    match daemon {
        // Files, Unix sockets.
        Daemon::Mgd => &[],
        // Port 179; buffers beyond net.core.*mem_max (ADR 10).
        Daemon::Rpd => &["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"],
        // Links, addresses, routes, nexthop objects.
        Daemon::Pfed => &["CAP_NET_ADMIN"],
    }
}

/// The form in which a process file has them.
pub fn capability_sets(capabilities: &[&str]) -> Value {
    json!({ "bounding": capabilities, "effective": capabilities, "permitted": capabilities })
}

/// Calls that none of ours makes and that help an intruder out of a container, or harm the machine. A list of what is
/// forbidden, not of what is allowed: what a newer C library calls instead of an older one's must not stop a router.
const FORBIDDEN_CALLS: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
];

/// EPERM.
const NOT_PERMITTED: u32 = 1;

/// The restriction of system calls.
pub fn seccomp() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures(),
        "syscalls": [{ "names": FORBIDDEN_CALLS, "action": "SCMP_ACT_ERRNO", "errnoRet": NOT_PERMITTED }],
    })
}

/// The machine's own call tables, 32-bit ones included: an intruder must not get around the list by another table.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "riscv64" => &["SCMP_ARCH_RISCV64"],
        _ => &[],
    }
}
