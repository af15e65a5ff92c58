"""Hypothesis measures no time: a busy machine is no defect of what is tested."""

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
