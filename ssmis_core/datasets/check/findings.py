"""What a check can find: how bad it is, what would go wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = {
    ERROR: "stops a training, or makes its test worth nothing",
    WARNING: "trains, but the result suffers or misleads",
    NOTE: "good to know",
}


@dataclass(frozen=True)
class Kind:
    """One kind of finding. severity: a key of SEVERITIES; title: what it is; why: what would go wrong; mend: how."""

    severity: str
    title: str
    why: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """One thing that was found. kind: a key of KINDS; text: one line that names the file or the cases, what was found
    and what was expected; cases: ids of those it is about; mend: how, where it can be told better than by the kind."""

    kind: str
    text: str
    cases: tuple[str, ...] = ()
    mend: str = ""

    @property
    def severity(self) -> str:
        return KINDS[self.kind].severity


_STOPS = "Training stops at the first of these that it opens."
_REFUSED = "`ssmis data prepare` makes no data set while there is one of these."
_LOOK = "Open them in a viewer (`--html FILE` draws every case), and take out or correct what is wrong."

KINDS: dict[str, Kind] = {
    # ---- files and voxels of single cases
    "missing": Kind(
        ERROR,
        "no such file",
        _STOPS,
        "Get the files, or point --data-root (or $SSMIS_DATA) to the folder that has them.",
    ),
    "file": Kind(
        ERROR,
        "a file that cannot be read",
        f"{_STOPS} {_REFUSED}",
        "Get the file anew: copy or download it again, or export it once more. Else take the case out.",
    ),
    "layout": Kind(
        ERROR,
        "a file that belongs to no case",
        f"{_REFUSED} The case would be trained on without its label, or without a channel.",
        "Rename it like its image (image anna.nii.gz, label anna.nii.gz or anna_seg.nii.gz), or take it out.",
    ),
    "passed-over": Kind(
        WARNING,
        "something among the scans that is none",
        "It is passed over: a scan or a label less, if it was meant to be one.",
        "Convert it to NIfTI (nested DICOM folders too), or move it elsewhere.",
    ),
    "unnamed": Kind(
        WARNING,
        "class names that are not understood",
        "Classes are called by number, and so are those of a run on them.",
        "Name them by --classes, or correct the labels of dataset.json.",
    ),
    "axes": Kind(
        ERROR,
        "other axes or channels than the rest",
        "A network takes one number of channels, and either planes or volumes.",
        "Bring all cases to the same channels and axes, or make a data set of each kind.",
    ),
    "empty": Kind(ERROR, "no voxels", _STOPS, "Get the file anew, or take the case out."),
    "nan": Kind(
        ERROR,
        "NaN or infinite voxels",
        "One of them makes the loss, and then every weight, not a number.",
        "Find the step that made them (a division by zero, a mask of NaN), or replace them by the value of air.",
    ),
    "constant": Kind(
        ERROR,
        "a constant image",
        "There is nothing in it to learn from, and scaling it would divide by zero.",
        "Export the scan again; a channel that was not acquired cannot be used. Else take the case out.",
    ),
    "label-shape": Kind(
        ERROR,
        "label and image differ in shape",
        "Voxel by voxel, label and image would speak of different places.",
        "Save the label on its image's grid (resampled to the nearest voxel), or find the image it was drawn on.",
    ),
    "place": Kind(
        ERROR,
        "label or channel lies elsewhere than its image",
        "The outline would be learned beside the organ.",
        "Save it again with the image's voxel-to-world matrix, or resample it to the image's grid, whichever is true.",
    ),
    "label-values": Kind(
        ERROR,
        "label values that are no classes",
        "A loss over K classes takes the whole numbers 0 to K - 1; anything else stops it or is learned as nonsense.",
        "Name the values as classes (`ssmis data prepare --classes 255=lesion`), or correct the labels.",
    ),
    "classes": Kind(ERROR, "labels that do not fit together", _REFUSED, "Name the values: --classes VALUE=NAME,..."),
    "unprepared": Kind(ERROR, "cannot be prepared", _REFUSED, "Mend what the line says, or take the case out."),
    # ---- lists
    "listed": Kind(
        ERROR,
        "listed more than once",
        "A case in two lists is learned and then tested on; one that is twice in a list counts double.",
        "Keep it in one list.",
    ),
    "leak": Kind(
        ERROR,
        "the same image in training and in validation or test",
        "The network is tested on what it has learned by heart, so the score says nothing about new scans.",
        "Keep one of them, or put both into one list (when preparing: --patient, or lists of your own).",
    ),
    "subject": Kind(
        ERROR,
        "one patient in training and in validation or test",
        "Two scans of one heart are nearly the same scan: the test is too easy.",
        "Put all scans of a patient into one list (when preparing: --patient).",
    ),
    "untestable": Kind(
        ERROR,
        "a test or validation case without a label",
        "There is nothing to compare its prediction with: the evaluation stops there.",
        "Give it a label, or move it to the training list, where it serves as unlabeled.",
    ),
    "label-lost": Kind(
        ERROR,
        "a case without a label among the labeled ones",
        "The first cases of the training list are the labeled ones; training stops when it meets this one.",
        "Give it a label, or move it behind all labeled cases of the list.",
    ),
    "no-label": Kind(
        ERROR,
        "no label at all",
        "Even semi-supervised learning needs a few labeled cases.",
        "Label at least one case, better ten, and a few more to test on.",
    ),
    "repeated": Kind(
        WARNING,
        "the same image twice",
        "It counts double in training; if a split parts the two, one is tested on after the other was learned.",
        "Keep one of them.",
    ),
    "same-label": Kind(
        WARNING,
        "the same label at different images",
        "One scan under two names (rescaled or filtered), or a label that was copied to the wrong case.",
        "Compare the two images, and keep the pair that belongs together.",
    ),
    "names": Kind(
        WARNING,
        "names that begin alike: perhaps several scans of a patient",
        "If training and test share a patient, the test is too easy.",
        'If so, name the part that is the patient: --patient "(REGEX)"; patients are then kept together.',
    ),
    # ---- what labels say
    "unlabeled": Kind(
        NOTE,
        "no label",
        "Nothing: they are learned from without one. They can be neither validated nor tested on.",
        "If a label exists, check its name and its folder.",
    ),
    "background": Kind(
        WARNING,
        "a label with nothing but background",
        "It counts as labeled and teaches that there is nothing to find; its Dice is 0 or 1 by convention.",
        "If the structure is there, label it; if nobody drew it, delete the label and let the case be unlabeled.",
    ),
    "never-learned": Kind(
        WARNING,
        "a class that no training label has",
        "It is never predicted, and pulls the mean over classes down to what chance gives.",
        "Split so that every class is in training (another --seed, or lists of your own), or leave the class out.",
    ),
    "absent": Kind(
        NOTE,
        "a structure that some labels do not have",
        "Those cases have no distances for it, and a Dice of 0 or 1.",
        "Fine if the structure is not in these scans; label it if it is.",
    ),
    "volume": Kind(
        WARNING,
        "a structure of unusual volume",
        "Often an outline with a slip: a flood fill, a lost part, another structure. It teaches that mistake.",
        _LOOK,
    ),
    # ---- what images are like
    "flat": Kind(
        WARNING,
        "nearly constant",
        "Almost all voxels have one value: after scaling there is little contrast left for what matters.",
        _LOOK,
    ),
    "spikes": Kind(
        NOTE,
        "a few voxels far brighter or darker than all others",
        "Scaling by the extremes (ACDC: to [0, 1]) squeezes the tissue into a few grey levels.",
        "If contrast looks poor, cut the values to their 0.1st and 99.9th percentiles before preparing.",
    ),
    "scales": Kind(
        NOTE,
        "grey values on very different scales",
        "Taken as they are, the few scans with large values would drive the training.",
        "Nothing for MR that is prepared here: each scan is scaled by itself. Else find the export that scaled them.",
    ),
    "looks-ct": Kind(
        WARNING,
        "values like Hounsfield units in what is not declared as CT",
        "Scaled scan by scan, a value no longer means the same tissue everywhere.",
        "Prepare with --modality ct, and a --window that suits the organ.",
    ),
    "not-hounsfield": Kind(
        WARNING,
        "values unlike Hounsfield units in what is declared as CT",
        "The window would cut away the wrong tissue: air should be near -1000, water at 0.",
        "Undo an offset (often +1024) or a scaling of the export; if it is no CT, use --modality mr.",
    ),
    "shape": Kind(
        NOTE,
        "a field of view unlike the others",
        "Perhaps another body part, a scout, or axes that were swapped in a conversion.",
        _LOOK,
    ),
    "spacing": Kind(
        WARNING,
        "voxels of different sizes",
        "A network counts voxels, not millimetres: the same organ comes in different sizes.",
        "Resample to one size.",
    ),
    "thick": Kind(
        NOTE,
        "voxels much longer along one axis",
        "A cubic patch covers far more along that axis, and 3D kernels mix what is far apart.",
        "Take a patch with fewer voxels along it (--set patch=), resample, or learn from slices.",
    ),
    "no-spacing": Kind(
        NOTE,
        "voxel size not known",
        "Distances are scored in voxels alone.",
        "Use the original files, if you have them.",
    ),
    "turned": Kind(
        NOTE,
        "scans lie in different directions",
        "Nothing: preparing turns all to one orientation, and predictions go back.",
        "Read arrays of these files only together with their matrix.",
    ),
    "unplaced": Kind(
        WARNING,
        "a file that does not say how it is turned, or how large its voxels are",
        "Left and right, or millimetres, are guessed; a wrong guess mirrors the scan against the others, or scales it.",
        "Save it with its matrix (NIfTI: sform or qform code above 0; NRRD: space and space directions; MetaImage: "
        "TransformMatrix and ElementSpacing), from the scanner's export if need be.",
    ),
}
