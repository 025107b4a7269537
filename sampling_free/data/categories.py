"""Classes: those of an annotation file, checked, and those of a model, to which a file's are matched by name."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sampling_free.data.problems import Problems, printable
from sampling_free.data.values import whole
from sampling_free.errors import UserError


def check_categories(entries: list[dict[str, Any]], problems: Problems) -> dict[int, dict[str, Any]]:
    """The categories that can be used, by id and sorted by it; no two of them have one name."""
    categories: dict[int, dict[str, Any]] = {}
    names: set[str] = set()
    for entry in entries:
        identity, name = whole(entry.get("id")), entry.get("name")
        if identity is None or not isinstance(name, str):
            problems.add("category without an integer id and a name", str(entry))
        elif identity in categories:
            problems.add("duplicate category id", str(identity))
        else:
            said = name.encode("utf-8", "replace").decode()  # half of a character cannot be written anywhere
            if said in names:
                problems.add("category of another's name, now with its id behind", f"{said} {identity}")
                said = f"{said} {identity}"  # or both would share one AP
            names.add(said)
            categories[identity] = entry | {"id": identity, "name": said}
    return dict(sorted(categories.items()))


def matched(
    labels: Mapping[int, str], categories: Sequence[Mapping[str, Any]], used: set[int], source: str
) -> dict[int, int]:
    """The model's label of each category of a file, found by its name.

    Args:
        labels: name of each label of the model.
        categories: of the file, each with `id` and `name`.
        used: ids of the categories that have a box.
        source: the file's name, for the message.

    Returns:
        Label by category id. A category that the model does not know is not there; nor has it any box.

    Raises:
        UserError: the file has boxes of a class that the model does not know.
    """
    label_of_name = {name: label for label, name in labels.items()}
    unknown = [category["name"] for category in categories if category["name"] not in label_of_name]
    wrong = [c["name"] for c in categories if c["name"] in unknown and c["id"] in used]
    if wrong:
        raise UserError(
            f"{source} has boxes of {quoted(wrong)}, which is no class that the model was trained on "
            f"({quoted(label_of_name)}){_hint(wrong[0], label_of_name)}; classes are matched by name: mend the file's"
        )
    return {c["id"]: label_of_name[c["name"]] for c in categories if c["name"] in label_of_name}


def difference(labels: Mapping[int, str], others: Mapping[int, str]) -> str:
    """The first label that has two names, as the end of a sentence; "" where both agree."""
    for label in sorted({*labels, *others}):
        one, other = labels.get(label), others.get(label)
        if one != other:
            said = ["absent" if name is None else repr(printable(name)) for name in (one, other)]
            return f"class {label} is {said[0]} there and {said[1]} here{_hint(other or '', [one or ''])}"
    return ""


def quoted(names: Any) -> str:
    """The first few names, in one line."""
    names = [printable(name) for name in names]
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _hint(name: str, others: Any) -> str:
    """Why a name that looks like another is not the same."""
    for other in others:
        if other != name and unicodedata.normalize("NFKC", other) == unicodedata.normalize("NFKC", name):
            return f": {printable(name)} differs from {printable(other)} in its Unicode form alone (NFC or NFD)"
        if other != name and other.casefold().strip() == name.casefold().strip():
            return f": did you mean {printable(other)!r}?"
    return ""
