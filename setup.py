"""All that pyproject.toml cannot say: `conf/`, at the top where people read it, ships as `stepkit.conf`."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_packages(include=["stepkit", "stepkit.*"]),
        "stepkit.conf",
        *(f"stepkit.conf.{folder}" for folder in find_namespace_packages("conf", exclude=["__pycache__*"])),
    ],
    package_dir={"stepkit.conf": "conf"},
    package_data={"": ["*.yaml", "py.typed"]},
)
