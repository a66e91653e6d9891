"""HTTP only: read the request, call one function, commit its Change, shape the response."""
