"""The peer of the benchmark of streamed messages: grpc.aio on uvloop, and nothing else."""

from __future__ import annotations

import grpc
import uvloop
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1 import generate_service_pb2_grpc as pb_grpc

TOKENS = 200


class Stream(pb_grpc.GenerateServiceServicer):
    """Streams as many messages as this server does for an answer of so many tokens."""

    async def Generate(self, request, context):  # noqa: N802
        yield pb.GenerateResponse(started=pb.Started())
        for _ in range(TOKENS):
            yield pb.GenerateResponse(text_delta=pb.TextDelta(text=" token", token_count=1))
        yield pb.GenerateResponse(finished={})


async def main() -> None:
    server = grpc.aio.server()
    pb_grpc.add_GenerateServiceServicer_to_server(Stream(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
