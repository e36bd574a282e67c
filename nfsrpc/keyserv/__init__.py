"""The keyserver of AUTH_DH (KEY_PROG 100029): holds users' secret keys and uses them for programs on this machine."""
