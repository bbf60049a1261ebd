"""The options of a command out of the model of its parameters: one a field, in the field's own words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from data.errors import BadInput
from flows.parameters import parse

Command = Callable[..., None]


def takes(model: type[BaseModel]) -> Callable[[Command], Command]:
    """Give a command the options of a model; it is called with the model, checked, as its first argument.

    A field of several values is an option to be repeated, under its singular: `symbols` is `--symbol`. A switch that is
    on by default has a `--no-` to it. What the model refuses is BadInput, in one line.
    """

    def declare(command: Command) -> Command:
        hints = inspect.get_annotations(command, eval_str=True)
        own = list(inspect.signature(command).parameters.values())[1:]

        @wraps(command)
        def called(**values: Any) -> None:
            given = {name: _read(name, field, values.pop(name)) for name, field in model.model_fields.items()}
            command(parse(model, given), **values)

        options = [_option(name, field) for name, field in model.model_fields.items()]
        everything = [*options, *(each.replace(annotation=hints[each.name], kind=each.KEYWORD_ONLY) for each in own)]
        called.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
        return called

    return declare


def flag(name: str, field: FieldInfo) -> str:
    """Return the option that stands for a field, as it is typed."""
    return "--" + (name.removesuffix("s") if _kind(field) == list[str] else name).replace("_", "-")


def pairs(texts: Sequence[str], option: str = "--param") -> dict[str, str]:
    """Turn name=value texts into a dictionary. Raises BadInput for one that is not so written."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise BadInput(f"{option} {text}: write name=value, such as fast=50")
        if option == "--grid" and name.strip() in found:  # elsewhere the last one counts, as for every option
            raise BadInput(f"{option} {text}: {name.strip()} is given twice, so leave out one of the two")
        found[name.strip()] = value.strip()
    return found


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    written, default = flag(name, field), field.get_default(call_default_factory=True)
    if default is True:
        written += f"/--no-{written.removeprefix('--')}"
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(default) if _kind(field) == list[str] else default,
        annotation=Annotated[_given(field), typer.Option(written, help=_help(field))],
    )


def _help(field: FieldInfo) -> str:
    """Return the field's description, and how an option of several values is written."""
    if _kind(field) != list[str]:
        return field.description or ""
    return f"{field.description} {'Write name=value; repeatable' if _is_mapping(field) else 'Repeatable'}."


def _given(field: FieldInfo) -> Any:
    """Return the type of what the command line gives: None where the option is absent and has no default."""
    return _kind(field) | None if field.default is None else _kind(field)


def _kind(field: FieldInfo) -> Any:
    """Return what the command line makes of the text; where that is text again, the model makes of it what it wants."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    kind = next(kind for kind in kinds if kind is not NoneType)
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(kind) in (tuple, dict):
        return list[str]
    return kind if kind in (bool, int, float, Path) or get_origin(kind) is Literal else str


def _read(name: str, field: FieldInfo, value: Any) -> Any:
    return pairs(value, flag(name, field)) if _is_mapping(field) else value


def _is_mapping(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict
