"""See to it that a napari window can open under Xvfb: install what is missing where that is allowed, else say how.

Run before the tests by tox. Does nothing on macOS and Windows, nor where everything is there already.
"""

import ctypes
import os
import shutil
import subprocess
import sys

# shared library that Qt 6 or OpenGL loads at run time -> the Debian package that brings it
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX_mesa.so.0": "libglx-mesa0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


def main() -> int:
    """Return the exit code: 0 where a window can open now, 1 where the user has to install something."""
    if not sys.platform.startswith("linux"):
        return 0
    packages = missing_packages()
    if not packages:
        return 0
    if shutil.which("apt-get") is None:
        print("The tests open a napari window and need, under the names of this system's packages:", *packages)
        return 1
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        print("The tests open a napari window and need some libraries. Run this once, then try again:")
        print(f"sudo apt-get update && sudo {' '.join(install)}")
        return 1
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
    for command in (["apt-get", "update", *quiet], [*install, *quiet]):
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
    return 0


def missing_packages() -> list[str]:
    """Return the Debian packages that would bring the missing libraries, the display server and software OpenGL."""
    packages = [package for library, package in LIBRARIES.items() if not can_load(library)]
    if shutil.which("Xvfb") is None:
        packages.append("xvfb")
    if "libglx-mesa0" in packages:
        packages.append("libgl1-mesa-dri")
    return packages


def can_load(library: str) -> bool:
    """Say whether the dynamic linker finds the library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
