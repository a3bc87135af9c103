#!/usr/bin/env python3
"""Put the binary of a wheel into the archive of a release.

    packaging/archive.py WHEEL TARGET FOLDER

Writes FOLDER/preflint-<version>-<target>.tar.gz, or .zip for Windows, and prints its path. Wheel and archive hold the
same binary. The same input gives the same bytes: times, owners and order are fixed.
"""
import gzip
import io
import pathlib
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAPERS = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"]


def main(wheel: pathlib.Path, target: str, folder: pathlib.Path) -> None:
    name, version = wheel.name.split("-")[:2]
    program = f"{name}.exe" if "windows" in target else name
    with zipfile.ZipFile(wheel) as content:
        files = {program: content.read(f"{name}-{version}.data/scripts/{program}")}
    files |= {paper: (ROOT / paper).read_bytes() for paper in PAPERS}

    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}-{version}-{target}.{'zip' if 'windows' in target else 'tar.gz'}"
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path, data in files.items():
                entry = zipfile.ZipInfo(path)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = mode(path, program) << 16
                out.writestr(entry, data)
    else:
        with archive.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as out:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), mode(path, program)
                out.addfile(entry, io.BytesIO(data))
    print(archive)


def mode(path: str, program: str) -> int:
    return 0o755 if path == program else 0o644


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
