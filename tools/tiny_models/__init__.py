"""Makes the bundled tiny models from scratch: see README.md beside this file."""
