"""Alembic's environment and the migrations, one file each under versions/."""
