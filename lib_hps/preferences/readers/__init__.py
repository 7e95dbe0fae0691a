"""One module for each layout of preference data: `recognises(path)` and `read(source)`, streaming."""
