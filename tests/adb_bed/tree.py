"""The folder that becomes the phone's root: programs, properties and sensors."""

import shutil
from pathlib import Path

from tests.adb_bed.holder import PAD_BYTE, SYSTEM_MARK
from tests.adb_bed.prepare import Prepared
from tests.adb_bed.sensors import Sensors

__all__ = ["COMMANDS", "build_tree"]

COMMANDS = Path(__file__).parent / "commands"
FOLDERS = ("system/bin", "proc", "dev", "sys", "data", "bed")


def build_tree(tree: Path, prepared: Prepared) -> None:
    """Fill an empty folder with busybox, a link for each applet, and Android's own commands.

    The applet `taskset` is renamed: busybox runs an applet even if a command of the same name is
    in the path, and this one would refuse the cores that only the phone has.
    """
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    programs = tree / "system/bin"
    content = bytearray(prepared.busybox.read_bytes().replace(b"\0taskset\0", b"\0tasksez\0"))
    content[PAD_BYTE] = SYSTEM_MARK
    (programs / "busybox").write_bytes(content)
    (programs / "busybox").chmod(0o755)
    for applet in prepared.applets:
        if applet not in ("busybox", "taskset"):
            (programs / applet).symlink_to("busybox")
    for command in COMMANDS.iterdir():
        (programs / command.name).unlink(missing_ok=True)
        shutil.copy(command, programs / command.name)
        (programs / command.name).chmod(0o755)
    (tree / "bin").symlink_to("system/bin")
    (tree / "sdcard").symlink_to("data/media/0")
    (tree / "system/build.prop").symlink_to("../bed/build.prop")
    Sensors(tree).create()
