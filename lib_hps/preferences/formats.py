"""The names of the layouts that are read and written; nothing is imported, so the command line can list them."""

LAYOUTS = {
    "choices": "our own folder (choices.jsonl)",
    "align_sd": "align_sd, HPS v1 (preference_train.json)",
    "hpdv2": "HPDv2 (train.json, test.json)",
    "imagereward": "ImageReward's JSON",
    "imagefolder": "a Hugging Face imagefolder that `hps data export` wrote (metadata.jsonl)",
    "pickapic": "Pick-a-Pic (.parquet)",
    "webdataset": "WebDataset shards that `hps data export` wrote (.tar)",
    "agiqa3k": "AGIQA-3K's table of scores (.csv)",
    "graded": "folders named after grades: bad/ mediocre/ good/ great/, liked/ disliked/, or numbers",
    "sessions": "sessions of the board",
}
"""Layouts that `reading` takes: what each is."""

FORMATS = ("align_sd", "imagefolder", "webdataset")
"""Formats that `exporting` writes."""
