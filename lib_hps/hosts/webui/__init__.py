"""The extension inside of AUTOMATIC1111's WebUI and its forks: the only place that imports the WebUI's `modules`.

`scripts/hps.py` registers what stands here. Importing these modules loads neither torch nor a model.
"""
