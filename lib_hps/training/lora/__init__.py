"""A LoRA adapted to preference: selected pictures in, a file for `<lora:name:1>` out."""
