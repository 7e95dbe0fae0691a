"""What to learn? One engine (accelerate) for every trainer; torch is only imported where something is trained."""
