"""InvokeModel's native formats, one module a family: bodies in, answers and chunks out."""
