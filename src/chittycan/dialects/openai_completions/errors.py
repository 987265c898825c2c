"""Errors have the same shape in every OpenAI surface."""

from chittycan.dialects.openai_chat.errors import build_error

__all__ = ["build_error"]
