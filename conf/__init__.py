"""The YAML that ships with stepkit, as `stepkit.conf`: Hydra reads a package only where it finds this file."""
