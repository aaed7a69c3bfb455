"""One file per resource; a view reads the request, calls one function and shapes the answer."""
