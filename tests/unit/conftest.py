from hypothesis import settings

# Time limits of single examples only tell how busy the machine is.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
