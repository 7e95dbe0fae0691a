"""The ranking board: its service and HTTP API, the same for every host. No torch, no gradio here."""
