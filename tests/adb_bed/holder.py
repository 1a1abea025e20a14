"""The first process of a sandbox: it mounts the phone's tree and keeps it while its input is open.

It runs as root of a fresh user, mount and process namespace (`unshare -U -r -m -p -f`) and must
run without this package and without site-packages. Programs of this machine cannot be executed
in the sandbox once it is ready, as on a phone.

Source: Linux, Documentation/admin-guide/binfmt-misc.rst.
"""

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

__all__ = ["AARCH64", "EMULATOR_MARK", "PAD_BYTE", "SYSTEM_MARK", "X86_64", "registration"]

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND = 1, 2, 32, 4096
AARCH64, X86_64 = 183, 62
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# The last padding byte of an ELF header, which the kernel ignores and which is 0 in other programs,
# marks the emulator and the phone's own programs, so that rules for pushed ones leave them alone.
PAD_BYTE, EMULATOR_MARK, SYSTEM_MARK = 15, 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2).

    Raises:
        OSError: The kernel refuses; it has the target's path.
    """
    texts = [text.encode() or None for text in (source, target, kind)]
    if libc.mount(*texts, flags, data.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def registration(name: str, machine: int, interpreter: str, flags: str, mark: int = 0) -> str:
    """A line for binfmt_misc that passes marked 64-bit programs of a machine to an interpreter."""
    magic = [*b"\x7fELF\x02\x01\x01", *[0] * 8, mark, 2, 0, machine, 0]
    mask = [*[0xFF] * 7, 0, *[0xFF] * 8, 0xFE, 0xFF, 0xFF, 0xFF]
    escaped = ["".join(f"\\x{byte:02x}" for byte in part) for part in (magic, mask)]
    return f":{name}:M:0:{escaped[0]}:{escaped[1]}:{interpreter}:{flags}"


def main(source: str, tree: str, data_size: str, emulator: str) -> None:
    """Build the phone's tree on `tree`, print this process's id outside, and wait.

    Args:
        source: The folder that `tree.build_tree` has filled.
        tree: An empty folder, on which the phone's root is mounted.
        data_size: The size of /data in bytes.
        emulator: Path of a static qemu-aarch64.
    """
    outside = Path("/proc/self").readlink()
    parts = Path(tree)
    mount("tmpfs", tree, "tmpfs", MS_NOSUID, "size=64m,mode=755")
    shutil.copytree(source, tree, symlinks=True, dirs_exist_ok=True)
    mount("tmpfs", f"{tree}/data", "tmpfs", MS_NOSUID, f"size={data_size},mode=771")
    for folder in ("data/local/tmp", "data/media/0"):
        (parts / folder).mkdir(parents=True)
    mount("proc", f"{tree}/proc", "proc")
    mount(f"{tree}/bed/cpuinfo", f"{tree}/proc/cpuinfo", "", MS_BIND)
    mount(f"{tree}/bed/sys", f"{tree}/sys", "", MS_BIND)
    for name in DEVICES:
        (parts / "dev" / name).touch()
        mount(f"/dev/{name}", f"{tree}/dev/{name}", "", MS_BIND)
    mount(f"{tree}/bed", f"{tree}/bed", "", MS_BIND)
    for read_only in (tree, f"{tree}/sys"):
        mount("", read_only, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    mount("binfmt_misc", f"{tree}/proc/sys/fs/binfmt_misc", "binfmt_misc")
    copy = parts / "bed/qemu-aarch64"
    shutil.copy(emulator, copy)
    with copy.open("r+b") as file:
        file.seek(PAD_BYTE)
        file.write(bytes([EMULATOR_MARK]))
    register = parts / "proc/sys/fs/binfmt_misc/register"
    register.write_text(registration("system", AARCH64, str(copy), "FP", SYSTEM_MARK))
    register.write_text(registration("aarch64", AARCH64, str(copy), "FP"))
    copy.unlink()  # binfmt_misc keeps it open
    register.write_text(registration("x86_64", X86_64, "/system/bin/refuse", "P"))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave no zombies
    os.chroot(tree)
    os.chdir("/")
    sys.stdout.write(f"{outside}\n")
    sys.stdout.flush()
    os.dup2(os.open("/dev/null", os.O_WRONLY), sys.stdout.fileno())
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
