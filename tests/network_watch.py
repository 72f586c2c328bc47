"""Runs a command in a network of its own, and says what it asked the name server and whom it called.

``python -m tests.network_watch COMMAND...``, in the namespaces of ``unshare --net --mount --map-root-user``:
every address is this machine, a name server answers every name, and every packet but those to 127.0.0.0/8 is
seen. Prints one line for each; the status is the command's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time

NAME_SERVER = "192.0.2.53"
ANSWER = bytes((192, 0, 2, 99))
UDP, TCP = 17, 6


def main(command: list[str]) -> int:
    """Watch a command."""
    for line in ("ip link set lo up", "ip route add local 0.0.0.0/0 dev lo"):
        subprocess.run(line.split(), check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")
        config.flush()
        subprocess.run(["mount", "--bind", config.name, "/etc/resolv.conf"], check=True)
        seen: list[str] = []
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        capture.bind(("lo", 0))
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((NAME_SERVER, 53))
        for work in (lambda: packets(capture, seen), lambda: names(server, seen)):
            threading.Thread(target=work, daemon=True).start()
        status = subprocess.run(command).returncode
        time.sleep(0.2)
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)
    for line in dict.fromkeys(seen):
        print(f"network: {line}")  # noqa: T201
    return status


def packets(capture: socket.socket, seen: list[str]) -> None:
    """Note the addresses of others that are called."""
    while True:
        packet = capture.recv(65535)[14:]
        protocol, to = packet[9], socket.inet_ntoa(packet[16:20])
        head = packet[4 * (packet[0] & 15) :]
        port = int.from_bytes(head[2:4], "big")
        first = head[13] & 0x12 == 0x02 if protocol == TCP else port < 32768  # no answer to a question
        if protocol in (UDP, TCP) and first and not to.startswith("127.") and to != NAME_SERVER:
            seen.append(f"call of {to}, port {port}")


def names(server: socket.socket, seen: list[str]) -> None:
    """Note and answer what the name server is asked."""
    while True:
        question, asker = server.recvfrom(4096)
        labels, end = [], 12
        while question[end]:
            labels.append(question[end + 1 : end + 1 + question[end]].decode())
            end += question[end] + 1
        seen.append(f"name {'.'.join(labels)}")
        head = question[:2] + b"\x81\x80" + question[4:6] + b"\0\1\0\0\0\0" + question[12 : end + 5]
        server.sendto(head + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ANSWER, asker)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
