"""Where the core meets a user: the WebUI, and a page and commands of its own."""
