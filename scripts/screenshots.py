"""Write the pictures of the report page under docs/pictures: wide, narrow and dark.

    python scripts/screenshots.py [--run FOLDER]

FOLDER is what ``sne-compile --out`` wrote; without it, the committed digits model is run. Chromium and its
driver are needed (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.page.browser import Browser, started  # noqa: E402  it is the tests' browser

PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 400_000


@dataclass(frozen=True)
class Picture:
    """One picture: the browser's width, how much of the page it shows, its mode."""

    name: str
    width: int
    height: int
    dark: bool


WANTED = (
    Picture("report-wide", 1280, 1900, dark=False),
    Picture("report-narrow", 390, 1900, dark=False),
    Picture("report-dark", 1280, 1900, dark=True),
)


def digits(folder: Path) -> Path:
    """Run the committed digits model on its test samples, beside other processors."""
    import sne_deploy as sne
    from sne_deploy.data import digits_split

    example = ROOT / "examples" / "digits"
    _, _, x, y = digits_split()
    with sne.compile(sne.load(example / "model.pt"), target="loihi") as compiled:
        result = compiled.run(
            x,
            y,
            model="examples/digits/model.pt",
            data_name="digits",
            teacher=example / "teacher.onnx",
            compare="all",
            command="sne-compile examples/digits/model.pt --target loihi --compare all --out out/digits "
            "--teacher examples/digits/teacher.onnx",
        )
    result.save(folder)
    return folder


def taken(browser: Browser, page: Path, picture: Picture) -> bytes:
    """One picture as PNG, with few colours."""
    browser.open(page, width=picture.width, dark=picture.dark)
    height = min(picture.height, int(browser.run("return document.documentElement.scrollHeight")))
    clip = {"x": 0, "y": 0, "width": picture.width, "height": height, "scale": 1}
    shot = browser.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
    image = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    found = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        found, format="PNG", optimize=True
    )
    return found.getvalue()


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a run, with report.html")
    asked = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, started() as browser:
        folder = asked.run or digits(Path(temporary))
        for picture in WANTED:
            content = taken(browser, folder.resolve() / "report.html", picture)
            if len(content) > MOST_BYTES:
                raise SystemExit(f"{picture.name}: {len(content):,} bytes, at most {MOST_BYTES:,}")
            (PICTURES / f"{picture.name}.png").write_bytes(content)
            print(f"{picture.name}.png  {len(content):,} bytes")


if __name__ == "__main__":
    main()
