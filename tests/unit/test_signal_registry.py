"""Strategies by name, by entry point and by file; parameters as they come from a command line."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from data.errors import BadInput
from data.settings import CHECKOUT
from tasks.signal import registry
from tasks.signal.market import invented_market
from tasks.signal.registry import code_hash, create, find, strategies
from tasks.signal.signals import signals
from tasks.signal.strategies import sma_crossover
from tasks.signal.strategies.sma_crossover import SmaCrossover

PLANTED = CHECKOUT / "tests" / "strategies_for_tests"

MINE = '''
from __future__ import annotations
from tasks.signal import DataFrame, Field, Strategy

class Mine(Strategy):
    """Mine."""
    size: float = Field(1, ge=0, le=1, description="position")
    warmup = property(lambda self: 0)
    def generate(self, candles: DataFrame) -> DataFrame:
        return DataFrame({"target": self.size}, index=candles.index)
'''


def write(folder: Path, code: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(code))
    return path


def refused(spec: str, **parameters: object) -> str:
    with pytest.raises(BadInput) as error:
        create(spec, parameters)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_shipped_strategy_is_found_by_the_name_of_its_file() -> None:
    shipped = strategies()
    assert {
        "bollinger_bands",
        "buy_and_hold",
        "cross_sectional_momentum",
        "donchian_breakout",
        "ema_crossover",
        "macd",
        "rsi_mean_reversion",
        "sma_crossover",
        "volatility_targeted_momentum",
    } == set(shipped)
    for name, strategy in shipped.items():
        assert strategy.name == name
        assert find(name) is strategy
        assert strategy.description.endswith(".")
        assert all(field.description for field in strategy.model_fields.values())
        strategy()


def test_a_strategy_is_created_from_the_strings_of_a_command_line() -> None:
    strategy = create("sma_crossover", {"fast": "20", "slow": "50", "short": "true"})
    assert strategy == SmaCrossover(fast=20, slow=50, short=True)
    assert create("sma_crossover", {}) == SmaCrossover(fast=50, slow=100)


def test_a_misspelt_strategy_is_answered_with_the_nearest_name() -> None:
    assert refused("sma_crosover").startswith("unknown strategy 'sma_crosover': did you mean 'sma_crossover'?")
    assert "unknown strategy ''" in refused("")
    assert "unknown strategy 'strategies/mine'" in refused("strategies/mine")


def test_a_misspelt_parameter_is_answered_with_the_nearest_name() -> None:
    assert refused("sma_crossover", fats="3").startswith(
        "unknown parameter of sma_crossover 'fats': did you mean 'fast'? Known: fast, short, slow"
    )
    assert refused("buy_and_hold", fast="3") == "unknown parameter of buy_and_hold 'fast': Known: none"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"fast": "0"}, "sma_crossover: fast=0 cannot be used: input should be greater than or equal to 1"),
        ({"fast": "1.5"}, "sma_crossover: fast=1.5 cannot be used: input should be a valid integer"),
        ({"fast": "fifty"}, "sma_crossover: fast=fifty cannot be used: input should be a valid integer"),
        ({"fast": None}, "sma_crossover: fast=None cannot be used"),
        ({"fast": "100", "slow": "100"}, "sma_crossover: fast must be below slow, but fast=100 and slow=100"),
        ({"fast": "0", "slow": "x"}, "; slow=x cannot be used"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_in_one_line(parameters: dict[str, object], said: str) -> None:
    assert said in refused("sma_crossover", **parameters)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_parameter_that_is_no_finite_number_is_refused(number: str) -> None:
    assert "finite" in refused("bollinger_bands", width=number)


def test_a_users_file_is_a_strategy(tmp_path: Path) -> None:
    path = write(tmp_path, MINE)
    for spec in (str(path), f"{path}:Mine", f"{path}:"):
        strategy = create(spec, {"size": "0.5"})
        assert strategy.name == "mine"
        assert signals(invented_market(3), strategy)["signal"].tolist() == [0.5] * 3
    assert find(str(path)) is find(f"{path}:Mine")
    assert "did you mean 'size'" in refused(str(path), siez=1)


def test_the_newcomers_strategy_works() -> None:
    strategy = create(str(PLANTED / "newcomer.py"), {"window": "10"})
    assert signals(invented_market(50), strategy)["signal"].notna().sum() == 41


def test_threads_that_load_a_file_at_once_get_the_same_strategy(tmp_path: Path) -> None:
    path = write(tmp_path, "import time; time.sleep(0.1)\n" + MINE.replace("from __future__", "# "))
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(find, [str(path)] * 4))) == 1


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, MINE)
    monkeypatch.chdir(tmp_path)
    assert find("mine.py:Mine").name == find("./mine.py").name == "mine"


def test_a_file_that_was_changed_is_loaded_anew(tmp_path: Path) -> None:
    path = write(tmp_path, MINE)
    before = create(str(path), {})
    write(tmp_path, MINE.replace("self.size", "-self.size"))
    after = create(str(path), {})
    assert signals(invented_market(1), before)["signal"].item() == 1
    assert signals(invented_market(1), after)["signal"].item() == -1
    assert code_hash(before) == hashlib.sha256(MINE.encode()).hexdigest()
    assert code_hash(after) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_code_of_a_shipped_strategy_has_a_hash() -> None:
    source = Path(sma_crossover.__file__).read_bytes()
    assert code_hash(SmaCrossover()) == code_hash(SmaCrossover(fast=3)) == hashlib.sha256(source).hexdigest()


def test_a_strategy_without_a_source_file_has_no_hash() -> None:
    space: dict[str, object] = {"__name__": "nowhere"}
    exec(MINE.replace("from __future__ import annotations\n", ""), space)
    with pytest.raises(BadInput, match="mine has no source file"):
        code_hash(space["Mine"]())


def test_imported_strategies_are_not_the_files_own(tmp_path: Path) -> None:
    path = write(tmp_path, "from tasks.signal.strategies.macd import Macd" + MINE.replace("from __future__", "# "))
    assert find(str(path)).name == "mine"
    assert "unknown strategy in" in refused(f"{path}:Macd")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\ndef f(:\n    pass\n", "mine.py, line 2: invalid syntax"),
        ("x = 1\n\nimport no_such_module\n", "mine.py, line 3: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    return 1 / 0\nf()\n", "mine.py, line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('bye')\n", "mine.py, line 2: SystemExit: bye"),
        ("x = 1\n", "mine.py holds no strategy: define a class derived from tasks.signal.Strategy"),
        ("", "mine.py holds no strategy"),
        ("\0", "mine.py"),
        (MINE + "class Other(Mine):\n    pass\n", "holds 2 strategies: name one of them, as"),
        (MINE.replace("warmup", "warm_up"), "line 5: Mine does not define warmup"),
        (MINE.replace("warmup = property(lambda self: 0)", "warmup = 0"), "mine.py, line 5: PydanticUserError"),
        (MINE.replace("size: float =", "size ="), "mine.py, line 5: PydanticUserError"),
        (MINE.replace("size: float", "name: float"), "mine.py, line 5: TypeError: Mine: a parameter cannot be called"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(code)
    answer = refused(str(path))
    assert said in answer
    assert "https" not in answer
    assert refused(str(path)) == answer


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00strategy")
    assert "mine.py" in refused(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(f"{tmp_path}/none.py").endswith("none.py' cannot be read: no such file or directory")
    (tmp_path / "folder.py").mkdir()
    assert refused(f"{tmp_path}/folder.py").endswith("folder.py' cannot be read: is a directory")
    assert refused("no\0file.py") == "strategy file 'no\\x00file.py' cannot be read: embedded null byte"


def test_a_misspelt_class_of_a_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert "did you mean 'Mine'?" in refused(f"{write(tmp_path, MINE)}:Mina")


def test_a_validator_of_the_users_that_fails_is_one_line(tmp_path: Path) -> None:
    code = MINE.replace("    warmup", "    def model_post_init(self, context):\n        1 / 0\n    warmup")
    assert refused(str(write(tmp_path, code))) == "mine: ZeroDivisionError: division by zero"


def offer(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    offered = [EntryPoint(name, value, registry.GROUP) for name, value in points.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: offered if group == registry.GROUP else [])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed module with a strategy Mine."""
    name = f"offered_{tmp_path.name.replace('-', '_')}"
    write(tmp_path, MINE, f"{name}.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_an_installed_package_offers_a_strategy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, mine=f"{package}:Mine")
    assert strategies()["mine"] is find("mine")
    assert create("mine", {"size": "0.25"}).size == 0.25
    assert len(code_hash(create("mine", {}))) == 64
    assert "did you mean 'mine'?" in refused("mina")


def test_the_code_of_an_offered_strategy_is_all_of_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"folder_of_{tmp_path.name.replace('-', '_')}"
    inside = tmp_path / name / "ideas"
    inside.mkdir(parents=True)
    write(tmp_path / name, "", "__init__.py")
    write(inside, MINE, "mine.py")
    helper = write(tmp_path / name, "HALF = 0.5", "helper.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    offer(monkeypatch, mine=f"{name}.ideas.mine:Mine")
    hashes = [code_hash(create("mine", {}))]
    assert code_hash(create("mine", {"size": "0.25"})) == hashes[0]
    helper.write_text("HALF = 0.6")
    hashes.append(code_hash(create("mine", {})))
    helper.rename(helper.with_name("other.py"))
    hashes.append(code_hash(create("mine", {})))
    assert len(set(hashes)) == 3


def test_an_installed_package_cannot_replace_a_strategy_of_jarvis(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, sma_crossover=f"{package}:Mine")
    assert find("sma_crossover") is SmaCrossover
    assert strategies()["sma_crossover"] is SmaCrossover


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mine", "{}:Yours", "cannot be loaded: AttributeError"),
        ("mine", "no_such_package:Mine", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'"),
        ("mine", "{}:Field", "is no strategy"),
        ("other", "{}:Mine", "must be called 'mine', as its strategy is"),
    ],
)
def test_a_broken_offer_is_refused_by_name_and_leaves_the_others_usable(
    package: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    offer(monkeypatch, **{name: value.format(package)})
    answer = refused(name)
    assert answer.startswith(f"entry point '{name}'")
    assert said in answer
    with pytest.warns(UserWarning, match="entry point") as warned:
        assert "sma_crossover" in strategies()
    assert str(warned[0].message) == answer
    assert find("sma_crossover") is SmaCrossover


def test_the_names_are_known_without_loading_talib_or_an_unused_strategy() -> None:
    code = (
        "import sys; from tasks.signal.registry import find; find('macd');"
        "print('talib' in sys.modules, 'tasks.signal.strategies.sma_crossover' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
