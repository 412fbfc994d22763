"""The stages; each is one file here and one YAML in conf/test/."""
