"""The reader of images: every mode of Pillow's, every orientation, files that are none."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from sampling_free.data.images import image_size, read_image
from sampling_free.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
RAMP = np.linspace(0, 1, 40 * 32).reshape(32, 40)
GREY = np.round(255 * RAMP)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_is_turned_as_viewers_turn_it(orientation, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[1::-1] == ((32, 40) if orientation > 4 else (40, 32))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).convert(mode if mode != "LAB" else "RGB").save(path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))


def test_what_is_transparent_lies_on_white(tmp_path):
    alpha = np.zeros((32, 40, 1), np.uint8)
    alpha[:16] = 255
    Image.fromarray(np.concatenate([PIXELS, alpha], 2)).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found[:16], PIXELS[:16])
    assert (found[16:] == 255).all()
    palette = Image.fromarray(PIXELS).quantize(8)
    palette.save(tmp_path / "p.png", transparency=3)
    assert (read_image(tmp_path / "p.png")[np.asarray(palette) == 3] == 255).all()
    # a channel in which nothing is opaque says nothing about transparency
    Image.fromarray(np.concatenate([PIXELS, 0 * alpha], 2)).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), PIXELS)


@pytest.mark.parametrize(
    "values",
    [
        (65535 * RAMP).astype(np.uint16),
        (4095 * RAMP).astype(np.uint16),  # 12 bits
        (65535 * RAMP).astype(np.int32),
        (10**7 * RAMP - 5000).astype(np.int32),
        RAMP.astype(np.float32),
        (255 * RAMP).astype(np.float32),
        (RAMP * 7 - 2).astype(np.float32),
    ],
    ids=["16 bits", "12 bits", "32 bits", "range", "shares", "float 8 bits", "float range"],
)
def test_other_grey_values_are_scaled_to_8_bits(values, tmp_path):
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif")
    assert found.shape == (32, 40, 3) and np.abs(found[..., 0] - GREY).max() <= 1
    if values.dtype == np.uint16:
        Image.fromarray(values).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), found)


def test_a_dark_picture_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 600, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == round(600 * 255 / 1023)).all()
    Image.fromarray(np.full((4, 4), 0.25, np.float32)).save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif") == 64).all()
    Image.fromarray(np.full((4, 4), -3.0, np.float32)).save(tmp_path / "b.tif")
    assert (read_image(tmp_path / "b.tif") == 0).all()


def bad(tmp_path, kind):
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.touch()
    elif kind == "nan":
        path = tmp_path / "a.tif"
        Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(path)
    elif kind == "huge":
        content = b"P6 99999 99999 255 "
        path = tmp_path / "a.ppm"
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("folder", "it is no file"),
        ("pipe", "it is no file"),
        ("text", "it is of no format"),
        ("empty", "it is of no format"),
        ("nan", "not finite"),
        ("missing", "No such file"),
        ("huge", "99999 x 99999 pixels"),
    ],
)
def test_what_is_no_image_is_named(kind, words, tmp_path):
    path = bad(tmp_path, kind)
    with pytest.raises(UserError, match=f"image {path} cannot be read .*{words}"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_that_is_cut_off_is_found_without_reading_whole_ones(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("the whole file is read"))
        assert image_size(path) == (40, 32)
    path.write_bytes(content[:-300])
    with pytest.raises(UserError, match=f"image {path} cannot be read"):
        image_size(path)
    with pytest.raises(UserError, match=f"image {path} cannot be read"):
        read_image(path)


def test_a_user_s_own_picture_may_be_large_and_pillow_s_limit_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").shape == (32, 40, 3)
        assert image_size(tmp_path / "a.png") == (40, 32)
    assert Image.MAX_IMAGE_PIXELS == 100
