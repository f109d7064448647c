"""Calls a running service with the generated Python client: `check.py URL KEY DOCUMENT`.

Fails with a traceback at the first answer that is not as described.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from picarcade_client import AuthenticatedClient
from picarcade_client.api.classification import classify_only, process, process_batch
from picarcade_client.api.information import get_stats
from picarcade_client.api.operations import get_health
from picarcade_client.models import (
    Batch,
    BatchResponse,
    ClassifyResponse,
    Health,
    Problem,
    ProcessRequest,
    ProcessResponse,
    PromptType,
    Statistics,
)

ACCEPTED = ["a", " a b ", "夕焼けの海", "🦊"]
REFUSED = ["", "   ", "\u00a0", "\u3000"]


def patterns(part: Any) -> Iterator[str]:
    """Yields every pattern of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for inner in part.values():
            yield from patterns(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from patterns(inner)


def check_patterns(document: Any) -> None:
    found = list(patterns(document))
    assert found, "the document has patterns"
    for pattern in found:
        re.compile(pattern)
    fields = document["components"]["schemas"]["ProcessRequest"]["properties"]
    for pattern in [fields["prompt"]["pattern"], fields["user_id"]["pattern"]]:
        assert all(re.search(pattern, text) for text in ACCEPTED), pattern
        assert not any(re.search(pattern, text) for text in REFUSED), pattern


def check_service(client: AuthenticatedClient) -> None:
    good = ProcessRequest(prompt="make the sky purple", active_image=True)
    bad = ProcessRequest(prompt="")

    answer = process.sync(client=client, body=good)
    assert isinstance(answer, ProcessResponse), answer
    assert answer.success and answer.prompt_type is PromptType.EDIT_IMAGE and answer.warnings == []

    classified = classify_only.sync(client=client, body=good)
    assert isinstance(classified, ClassifyResponse) and classified.cache_hit, classified

    refused = process.sync_detailed(client=client, body=bad)
    assert refused.status_code == 422 and isinstance(refused.parsed, Problem), refused
    assert isinstance(refused.parsed.errors, list) and refused.parsed.errors[0].pointer == "/prompt"

    bodies: list[list[ProcessRequest] | Batch] = [[good, bad], Batch(requests=[good, bad])]
    for body in bodies:
        batch = process_batch.sync(client=client, body=body)
        assert isinstance(batch, BatchResponse) and (batch.succeeded, batch.failed) == (1, 1), batch
        first, second = batch.results
        assert isinstance(first, ProcessResponse) and first.prompt_type is PromptType.EDIT_IMAGE
        assert isinstance(second, Problem) and second.status == 422

    stats = get_stats.sync(client=client)
    assert isinstance(stats, Statistics) and stats.total_classifications >= 0, stats

    health = get_health.sync(client=client)
    assert isinstance(health, Health) and health.status == "healthy", health


def main(url: str, key: str, document: str) -> None:
    check_patterns(json.loads(Path(document).read_text(encoding="utf-8")))
    check_service(AuthenticatedClient(base_url=url, token=key))


main(*sys.argv[1:])
