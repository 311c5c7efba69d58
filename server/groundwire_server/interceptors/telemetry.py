"""Counts and times every call."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from prometheus_client import Counter

from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.interceptors.outcome import code_of_failure
from groundwire_server.observability.metrics import Metrics


class Telemetry:
    """Records calls in the metrics. Outermost, so that what refuses a call is counted too."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, method: Method, call: Call) -> Call:
        """Intercept. The metrics of the method are looked up here, once."""
        ended = _Ended(self._metrics.requests, method)
        seconds = self._metrics.seconds.labels(method.service, method.name)
        in_flight = self._metrics.in_flight.labels(method.service, method.name)

        async def measured(request: Any, context: Context) -> Any:
            began = perf_counter()
            in_flight.inc()
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = code_of_failure(error, context).name
                raise
            finally:
                in_flight.dec()
                seconds.observe(perf_counter() - began)
                ended[code].inc()

        return measured


class _Ended(dict[str, Counter]):
    """The counter of each status code of one method, made when the code first occurs."""

    def __init__(self, requests: Counter, method: Method) -> None:
        super().__init__()
        self._requests = requests
        self._method = method

    def __missing__(self, code: str) -> Counter:
        counter = self[code] = self._requests.labels(self._method.service, self._method.name, code)
        return counter
