"""Human preference for Stable Diffusion: score, rank, and learn what you like."""

__version__ = "0.1.0"
