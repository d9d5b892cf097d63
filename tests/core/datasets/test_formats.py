"""Every format gives the same voxels at the same place, however the scan lies."""

from __future__ import annotations

import locale
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ssmis_core.datasets.formats import read_image, stem
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import OBLIQUE, affine_of, right_handed, scan, sitk_image, write_dicom, write_image

FILES = ("a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd")
PLACES = {
    "plain": affine_of(),
    "left": affine_of(signs=(-1, 1, 1), spacing=(0.5, 0.5, 2.0)),
    "sagittal": affine_of((1, 2, 0), (-1, -1, 1), (0.9, 0.9, 4.0)),
    "oblique": OBLIQUE,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILES)
def test_voxels_and_affine_are_the_files(tmp_path: Path, name: str, place: str) -> None:
    array, affine = scan(), PLACES[place]
    volume = read_image(write_image(tmp_path / name, array, affine))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    np.testing.assert_allclose(volume.spacing, np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_voxel_lies_where_itk_and_nibabel_say(tmp_path: Path, name: str) -> None:
    """ITK writes all three and tells the place (x to the left, y to the back); nibabel tells it of its NIfTI."""
    image = sitk_image(scan(), OBLIQUE)
    sitk.WriteImage(image, str(tmp_path / name))
    volume = read_image(tmp_path / name)
    left, back, up = image.TransformIndexToPhysicalPoint((3, 7, 2))
    np.testing.assert_allclose((volume.affine @ [3, 7, 2, 1])[:3], (-left, -back, up), atol=1e-4)
    sitk.WriteImage(image, str(tmp_path / "other.nii"))
    np.testing.assert_allclose(volume.affine, nibabel.load(tmp_path / "other.nii").affine, atol=1e-4)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_packed_voxels_are_read(tmp_path: Path, name: str) -> None:
    volume = read_image(write_image(tmp_path / name, scan(), OBLIQUE, packed=True))
    np.testing.assert_array_equal(volume.array, scan())


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_channels_are_on_the_last_axis(tmp_path: Path, name: str) -> None:
    array = np.stack([scan(), scan(seed=1)], -1).astype(np.float32)
    volume = read_image(write_image(tmp_path / name, array, OBLIQUE))
    assert volume.channels == 2
    np.testing.assert_array_equal(volume.array, array)


def test_nrrd_of_another_world_is_turned(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nrrd", scan(), affine_of())
    content = path.read_bytes().replace(b"left-posterior-superior", b"right-anterior-superior")
    path.write_bytes(content)
    np.testing.assert_allclose(read_image(path).affine, np.diag([-1, -1, 1, 1]) @ affine_of(), atol=1e-6)


DIRECTIONS = b"space directions: (1,0,0) (0,1,0) (0,0,2)\n"
UNTOLD: dict[str, tuple[str, bytes, str]] = {
    "NRRD, nothing": ("a.nrrd", b"", "neither how it is turned nor how large"),
    "NRRD, no directions": ("a.nrrd", b"space: left-posterior-superior\n", "neither how it is turned nor how large"),
    "NRRD, size alone": ("a.nrrd", b"spacings: 1 1 2\n", "does not say how it is turned: x to the left"),
    "NRRD, sizes unknown": ("a.nrrd", b"spacings: nan nan nan\n", "neither how it is turned nor how large"),
    "NRRD, unnamed world": ("a.nrrd", b"space dimension: 3\n" + DIRECTIONS, "does not say how it is turned"),
    "NRRD, the scanner's world": ("a.nrrd", b"space: scanner-xyz\n" + DIRECTIONS, "does not say how it is turned"),
    "NRRD, all": ("a.nrrd", b"Space: RAS\n" + DIRECTIONS, ""),
    "MetaImage, nothing": ("a.mha", b"", "neither how it is turned nor how large"),
    "MetaImage, size alone": ("a.mha", b"ElementSize = 1 1 2\n", "does not say how it is turned: x to the left"),
    "MetaImage, turn alone": ("a.mha", b"Rotation = 1 0 0 0 1 0 0 0 1\n", "how large its voxels are: 1 mm was assumed"),
    "MetaImage, all": ("a.mha", b"TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementSpacing = 1 1 2\n", ""),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_a_file_that_does_not_say_where_it_lies_is_noted(tmp_path: Path, name: str) -> None:
    file, told, expected = UNTOLD[name]
    meta = b"NDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\n%bElementDataFile = LOCAL\n" % told
    nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n%b\n" % told
    (tmp_path / file).write_bytes((nrrd if file.endswith("nrrd") else meta) + bytes(range(24)))
    volume = read_image(tmp_path / file)
    assert expected in volume.note and volume.placed == (not volume.note) == (not expected)
    assert ("1 mm" in volume.note) == (volume.spacing == (1, 1, 1))


def test_nifti_values_are_scaled_in_any_byte_order(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(scan().astype(np.float64) * 0.5 + 3, OBLIQUE, header)
    nibabel.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(
        read_image(tmp_path / "a.nii.gz").array, nibabel.load(tmp_path / "a.nii.gz").get_fdata(), rtol=1e-5
    )
    nibabel.save(nibabel.Nifti2Image(scan(), OBLIQUE), tmp_path / "b.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii").array, scan())


def test_a_plane_has_a_third_axis_of_one_voxel(tmp_path: Path) -> None:
    for name, array, axes in (("a.nii", scan()[:, :, 0], 2), ("b.nii", scan()[:, :, :1], 3)):
        volume = read_image(write_image(tmp_path / name, array, affine_of()))
        assert (volume.array.shape, volume.axes) == ((12, 10, 1), axes)
    sitk.WriteImage(sitk.GetImageFromArray(scan()[:, :, 0]), str(tmp_path / "c.mha"))
    assert read_image(tmp_path / "c.mha").axes == 2


def test_a_name_goes_without_its_ending(tmp_path: Path) -> None:
    assert stem(Path("p.1.nii.gz")) == "p.1" and stem(Path("x.MHA")) == "x"
    (tmp_path / "p.nii").mkdir()
    assert stem(tmp_path / "p.nii") == "p.nii"


@pytest.mark.parametrize("place", PLACES)
def test_dicom_slices_are_sorted_by_place_not_by_name_or_number(tmp_path: Path, place: str) -> None:
    array, affine = right_handed(scan(), PLACES[place])
    names = [f"{number:02d}.dcm" for number in np.random.default_rng(0).permutation(array.shape[2])]
    volume = read_image(write_dicom(tmp_path / "series", array, affine, names=names))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)


def test_reading_leaves_the_locale_alone(tmp_path: Path) -> None:
    """Where a reader sets it to "C", as GDCM's writer does, Python takes every text file for ASCII afterwards."""
    write_dicom(tmp_path / "series", *right_handed(scan(), PLACES["plain"]))
    before = locale.setlocale(locale.LC_ALL)
    read_image(tmp_path / "series")
    assert locale.setlocale(locale.LC_ALL) == before
    (tmp_path / "series" / "000.dcm").write_bytes(b"DICM")
    with pytest.raises(UserError):
        read_image(tmp_path / "series")
    assert locale.setlocale(locale.LC_ALL) == before


def low_is_bright(folder: Path) -> Path:
    """Mark every slice so; ITK itself writes nothing but MONOCHROME2."""
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"MONOCHROME2", b"MONOCHROME1"))
    return folder


def test_dicom_where_low_is_bright_is_inverted_within_the_range_that_is_stored(tmp_path: Path) -> None:
    array, affine = right_handed(scan((12, 10, 2)), PLACES["plain"])
    volume = read_image(low_is_bright(write_dicom(tmp_path / "series", array, affine)))
    np.testing.assert_array_equal(volume.array, -1 - array)  # 16 bits with a sign: -32768 becomes 32767
    assert "grey values of 2 of 2 slices inverted" in volume.note and volume.placed
    ct = low_is_bright(write_dicom(tmp_path / "ct", array, affine, more={"0008|0060": "CT"}))
    with pytest.raises(UserError, match=r"000\.dcm: is CT in MONOCHROME1 \(low is bright\), expected MONOCHROME2"):
        read_image(ct)


@pytest.mark.parametrize(
    ("text", "depth"),
    [("2.5", 2.5), ("2.5E0", 2.5), ("+25e-1", 2.5), (" 2.5 ", 2.5), ("-2.5", None), ("0", None), ("thin", None)],
)
def test_a_single_slice_is_as_deep_as_its_thickness(tmp_path: Path, text: str, depth: float | None) -> None:
    array, affine = right_handed(scan((12, 10, 1)), PLACES["plain"])
    volume = read_image(write_dicom(tmp_path / "series", array, affine, more={"0018|0050": text}))
    assert volume.spacing == (1.0, 1.0, depth or 1.0)
    assert ("for want of a thickness 1 mm" in volume.note) == (depth is None)


def test_dicom_that_is_not_one_whole_series_is_told_in_a_line(tmp_path: Path) -> None:
    array, affine = right_handed(scan(), OBLIQUE)

    def told(folder: Path) -> str:
        with pytest.raises(UserError) as error:
            read_image(folder)
        assert "\n" not in str(error.value) and str(folder) in str(error.value)
        return str(error.value)

    lost = write_dicom(tmp_path / "lost", array, affine)
    (lost / "004.dcm").unlink()
    assert "6 mm between" in told(lost) and "1 missing" in told(lost)
    mixed = write_dicom(tmp_path / "mixed", array, affine)
    write_dicom(mixed, array, affine, series="1.2.3.5", names=[f"b{n}.dcm" for n in range(8)])
    assert "2 series are mixed (8, 8 files)" in told(mixed)
    double = write_dicom(tmp_path / "double", array, affine)
    (double / "copy.dcm").write_bytes((double / "003.dcm").read_bytes())
    assert "same place" in told(double)
    other = write_dicom(tmp_path / "other", array, affine)
    write_dicom(other, array[:8], affine, names=[f"{n:03d}.dcm" if n == 2 else f"x{n}.dcm" for n in range(8)])
    for name in other.glob("x*"):
        name.unlink()
    assert "has 8 x 10 pixels, expected 12 x 10" in told(other)
    words = write_dicom(tmp_path / "words", array, affine)
    (words / "notes.txt").write_text("patient was nervous")
    assert "is not a DICOM file" in told(words)
    cut = write_dicom(tmp_path / "cut", array, affine)
    (cut / "001.dcm").write_bytes((cut / "001.dcm").read_bytes()[:-30])
    told(cut)
    (tmp_path / "empty").mkdir()
    assert "no files" in told(tmp_path / "empty")


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_channels_of_a_plane_are_no_slices(tmp_path: Path, name: str) -> None:
    array = scan((12, 10, 3))
    sitk.WriteImage(sitk.GetImageFromArray(array.transpose(1, 0, 2), isVector=True), str(tmp_path / name))
    volume = read_image(tmp_path / name)
    assert (volume.channels, volume.axes) == (3, 2)
    np.testing.assert_array_equal(volume.array, array[:, :, None])


@pytest.mark.parametrize("quaternion", ["as it is", "none", "damaged"])
def test_a_nifti_matrix_that_contradicts_the_voxel_size_is_told(tmp_path: Path, quaternion: str) -> None:
    """As in some official ACDC files: a matrix of 1 mm voxels beside a quaternion with those of the header."""
    true, wrong = np.diag([-1.5, -1.5, 10.0, 1.0]), np.diag([-1.0, -1.0, 1.0, 1.0])
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), true)
    image.header.set_qform(true, code=int(quaternion != "none"))
    image.header["pixdim"][1:4] = (1.5, 1.5, 10.0)
    if quaternion == "damaged":
        image.header["quatern_b"] = 3.0
    for row, name in zip(wrong, ("srow_x", "srow_y", "srow_z"), strict=False):
        image.header[name] = row
    image.header["sform_code"], image.header["vox_offset"] = 1, 352
    path = tmp_path / "a.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + image.dataobj.tobytes(order="F"))
    found = read_image(path)
    assert found.placed and "has voxels of 1 x 1 x 1 mm, its header says 1.5 x 1.5 x 10 mm" in found.note
    np.testing.assert_allclose(found.affine, true if quaternion == "as it is" else wrong, atol=1e-6)
    assert ("qform" in found.note) == (quaternion == "as it is")
