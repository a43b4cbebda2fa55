"""What `genesis VERB --help` shows beside the options' own sentences: their groups, and an example of each verb."""

GROUPS = {
    "cubes": (
        "size", "spacing", "slices", "neighbours", "overlap", "foreground", "mirror", "augment",
        "intensity", "modality", "voi", "crop_borders", "longest_side", "every", "side", "max_voxels",
        "masks", "views", "region", "window", "balance",
    ),
    "network": (
        "from_", "like", "trust", "plans", "configuration", "backbone", "width", "blocks", "bottleneck",
        "norm", "widen", "method", "arm", "drop_skips", "block", "cell", "spare", "features", "head",
        "also", "run",
    ),
    "optimiser": (
        "steps", "batch_size", "accumulate", "optimizer", "lr", "weight_decay", "schedule", "warmup_steps",
        "clip_norm", "validate_every", "val_cubes", "patience", "tune", "decay", "rest", "rule",
    ),
    "labelling": (
        "task", "kind", "label", "classes", "columns", "cases", "fraction", "chosen", "choose",
        "embeddings", "labelled", "test", "val", "folds", "rehearsal", "train_folds", "val_folds", "metric",
        "groups", "reference", "seeds",
    ),
    "machine": (
        "cluster", "slurm", "accelerator", "engine", "precision", "compile", "workers", "threads", "devices", "nodes",
        "shelf", "stall_s", "cache", "cache_gib", "log", "quiet", "dry_run",
    ),
}  # fmt: skip

EXAMPLES = {
    "prepare": "genesis prepare scans/ store/ --spacing 1 1 2",
    "show": "genesis show chest-ct store/ sheet.png",
    "pretrain": "genesis pretrain chest-ct store/ runs/chest-ct --steps 20000",
    "inspect": "genesis inspect hippocampus/ --into hippocampus.html",
    "finetune": "genesis finetune hippocampus/ runs/hippocampus --from runs/chest-ct --cases 10",
    "predict": "genesis predict runs/hippocampus new-scans/ masks/ --for-correction",
    "embed": "genesis embed genesis-small-ct scans/ vectors/genesis",
    "evaluate": "genesis evaluate masks/ truth/ scores/",
    "benchmark": "genesis benchmark hippocampus/ runs/bench --from scratch runs/chest-ct --cases 3 12 50 --seeds 5",
    "probe": "genesis probe vectors/genesis labels.csv probes/age --label age --kind regression",
    "choose": "genesis choose vectors/genesis next.csv --cases 10 --labelled labels.csv",
    "view": "genesis view masks/ masks.html",
    "report": "genesis report runs/bench bench.html",
    "weights": "genesis weights list",
    "weights list": "genesis weights list",
    "weights show": "genesis weights show genesis-small-ct",
    "weights fetch": "genesis weights fetch genesis-chest-ct",
    "weights recalibrate": "genesis weights recalibrate genesis-chest-ct store/ runs/recalibrated",
    "weights push": "genesis weights push runs/chest-ct clinic/chest-ct",
    "weights pull": "genesis weights pull clinic/chest-ct runs/pulled",
    "export": "genesis export runs/hippocampus model/ --to onnx",
    "demo": "genesis demo demo/ --seconds 60",
}


def group_of(option: str) -> str:
    """The group of an option; "" of those that are a verb's own."""
    return next((name for name, options in GROUPS.items() if option in options), "")


def example_of(words: list[str]) -> str:
    """The example of a verb, or of an action of it; "" of an unknown one."""
    return EXAMPLES.get(" ".join(words[:2])) or EXAMPLES.get(words[0], "")
