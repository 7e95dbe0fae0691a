"""The base model beside LoRAs of it: the same prompts and seeds, scores, and what people say without knowing which."""
