"""Drawing pictures with an SD1 or SDXL checkpoint file: loading, prompts, samplers, noise."""
