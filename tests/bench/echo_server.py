"""The peer of the unary benchmark: grpc.aio on uvloop, and nothing else."""

from __future__ import annotations

import grpc
import uvloop
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.v1 import admin_service_pb2_grpc as pb_grpc


class Echo(pb_grpc.AdminServiceServicer):
    """Answers with an empty message."""

    async def GetServerInfo(self, request, context):  # noqa: N802
        return pb.GetServerInfoResponse()


async def main() -> None:
    server = grpc.aio.server()
    pb_grpc.add_AdminServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
