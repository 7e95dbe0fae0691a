"""Drawing pictures with an SD1, SD2 or SDXL checkpoint file: loading, prompts, samplers, noise."""
