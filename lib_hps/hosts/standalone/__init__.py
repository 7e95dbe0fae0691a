"""The host for machines without a WebUI: diffusers underneath, a Gradio page on top."""
