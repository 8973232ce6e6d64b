"""Codes and texts to concepts, answers, units and drugs. Code systems are data: the value sets of a ruleset."""

from engine.terminology.content import Coding, Content, Drug, Meaning
from engine.terminology.load import load_terminology
from engine.terminology.terminology import Terminology

__all__ = ["Coding", "Content", "Drug", "Meaning", "Terminology", "load_terminology"]
