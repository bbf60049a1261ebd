"""Settings: ``JARVIS_*`` variables, or the same names in a ``.env`` file in the checkout."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from data.errors import BadInput

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What can be set from outside; every field is ``JARVIS_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="JARVIS_", env_file=CHECKOUT / ".env", extra="ignore", frozen=True)

    lake: Path | str = Field(
        Path("data/lake"),
        description="Folder of the lake; a relative one lies in the checkout. Or a bucket: s3://bucket/lake.",
    )
    state: Path = Field(
        Path("data/prefect"), description="Folder of the Prefect server's database and of the logs of `jarvis up`."
    )
    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of the Prefect server that `jarvis up` starts.")
    dashboard_port: int = Field(5006, ge=1, le=65535, description="Port of the dashboard that `jarvis up` starts.")
    practice_port: int = Field(8100, ge=1, le=65535, description="Port of the practice exchange.")
    practice_admin_port: int = Field(8101, ge=1, le=65535, description="Port of its faults, clock and journal.")
    practice_state: Path = Field(
        Path("data/practice"), description="Folder in which the practice exchange keeps its state between runs."
    )
    live: str = Field("", description="`yes` allows orders for real money; without it there is paper alone.")
    alert_url: SecretStr | None = Field(
        None, description="Address to which each alert of a session is sent (HTTP POST, JSON); empty: none."
    )
    exchange_urls: dict[str, str] = Field(
        default_factory=dict,
        description='Addresses to reach exchanges at instead of their own, as JSON: {"kraken": "http://127.0.0.1:8080"}.',
    )

    @field_validator("state", "practice_state")
    @classmethod
    def _in_checkout(cls, folder: Path) -> Path:
        return folder if folder.is_absolute() else CHECKOUT / folder

    @field_validator("lake")
    @classmethod
    def _lake_in_checkout(cls, lake: Path | str) -> Path | str:
        return lake if "://" in str(lake) else CHECKOUT / lake  # which an absolute one replaces


def settings() -> Settings:
    """Read the settings afresh. Raises BadInput naming the variable that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"JARVIS_{first['loc'][0]}".upper()
        raise BadInput(f"{name} cannot be used: {first['msg'].lower()}") from None
    except SettingsError as error:  # the only one that is structured is exchange_urls
        raise BadInput(f"JARVIS_EXCHANGE_URLS cannot be used: it is not JSON ({error.__cause__})") from None
