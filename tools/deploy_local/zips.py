"""The functions' code: as cargo-lambda writes it, or as `sam build` leaves it."""

import io
import zipfile

BINARIES = ("api", "scheduler", "cron")


def read(folder, binary, logical_id):
    """The zip of a function, from a folder of `cargo lambda build` or of `sam build`."""
    for path in (folder / binary / "bootstrap.zip", folder / f"{binary}.zip"):
        if path.is_file():
            return path.read_bytes()
    for path in (folder / binary / "bootstrap", folder / logical_id / "bootstrap"):
        if path.is_file():
            return packed(path)
    raise FileNotFoundError(f"no code of {binary} in {folder}: neither {binary}/bootstrap.zip nor {logical_id}/bootstrap")


def packed(bootstrap):
    """A zip with one executable."""
    memory = io.BytesIO()
    info = zipfile.ZipInfo("bootstrap")
    info.external_attr = 0o755 << 16
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, bootstrap.read_bytes())
    return memory.getvalue()
