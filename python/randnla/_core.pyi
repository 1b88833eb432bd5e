# The compiled core is untyped here: _backend/kernels/ wraps each function with its types.
from typing import Any

def __getattr__(name: str) -> Any: ...
