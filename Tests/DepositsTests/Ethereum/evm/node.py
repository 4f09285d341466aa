"""An Ethereum node for the tests: a real EVM (py-evm, by eth-tester) behind JSON-RPC on loopback.

POST / is the node. POST /control is the test's hand: it mines, pays, rewinds, and makes the node
misbehave. Prints its port, and ends when its standard input does.
"""
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import BlockNotFound, TransactionNotFound

TRANSFER = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def token_code():
    """A contract that says Transfer for each (recipient, amount) of its input, after a first word:
    0 as an ERC-20 token, 1 as an ERC-721 token, 2 fails."""
    ops = {
        "STOP": 0x00, "ADD": 0x01, "GT": 0x11, "EQ": 0x14, "ISZERO": 0x15, "CALLER": 0x33, "CALLDATALOAD": 0x35,
        "CALLDATASIZE": 0x36, "MSTORE": 0x52, "JUMP": 0x56, "JUMPI": 0x57, "JUMPDEST": 0x5B, "DUP1": 0x80, "DUP2": 0x81,
        "LOG3": 0xA3, "LOG4": 0xA4, "REVERT": 0xFD,
    }
    source = f"""
        0 CALLDATALOAD DUP1 2 EQ @fail JUMPI 32
        loop: DUP1 CALLDATASIZE GT ISZERO @end JUMPI
        DUP1 32 ADD CALLDATALOAD 0 MSTORE
        DUP2 1 EQ @nft JUMPI
        DUP1 CALLDATALOAD CALLER #{TRANSFER} 32 0 LOG3 @next JUMP
        nft: DUP1 32 ADD CALLDATALOAD DUP2 CALLDATALOAD CALLER #{TRANSFER} 0 0 LOG4
        next: 64 ADD @loop JUMP
        end: STOP
        fail: 0 0 REVERT"""
    code, places, holes = bytearray(), {}, []
    for word in source.split():
        if word.endswith(":"):
            places[word[:-1]] = len(code)
            code.append(ops["JUMPDEST"])
        elif word.startswith("@"):
            code += bytes([0x60, 0])
            holes.append((len(code) - 1, word[1:]))
        elif word.startswith("#"):
            code += bytes([0x7F]) + bytes.fromhex(word[1:])
        elif word.isdigit():
            code += bytes([0x60, int(word)])
        else:
            code.append(ops[word])
    for place, label in holes:
        code[place] = places[label]
    # PUSH1 length, DUP1, PUSH1 offset, PUSH1 0, CODECOPY, PUSH1 0, RETURN
    head = bytes([0x60, len(code), 0x80, 0x60, 11, 0x60, 0, 0x39, 0x60, 0, 0xF3])
    return "0x" + (head + bytes(code)).hex()


class Chain:
    def __init__(self):
        self.reset({})

    def reset(self, _):
        self.tester = EthereumTester(PyEVMBackend(), auto_mine_transactions=False)
        self.accounts = self.tester.get_accounts()
        # What it answers instead of the truth.
        self.faults, self.wrong, self.asked = [], {}, []
        return {}

    # The test's hand.

    def mine(self, order):
        self.tester.mine_blocks(order.get("blocks", 1))
        return {"head": self.head()}

    def head(self):
        return self.tester.get_block_by_number("latest")["number"]

    def send(self, order):
        """A transaction of account `from` that waits for a block. With the same nonce it is the same transaction."""
        sender = self.accounts[order.get("from", 0)]
        transaction = {"from": sender, "gas": 500_000, "gas_price": 10**10, "value": int(order.get("value", "0"))}
        if "nonce" in order:
            transaction["nonce"] = order["nonce"]
        if "to" in order:
            transaction["to"] = order["to"]
        if "data" in order:
            transaction["data"] = order["data"]
        return {"hash": self.submit(transaction)}

    def submit(self, transaction):
        # send_transaction() would take it back at once and keep it aside: one for each account only.
        return self.tester._add_transaction_to_pending_block(transaction)

    def deploy(self, _):
        hash = self.submit({"from": self.accounts[9], "gas": 500_000, "gas_price": 10**10, "data": token_code()})
        self.tester.mine_blocks(1)
        return {"address": self.tester.get_transaction_receipt(hash)["contract_address"]}

    def snapshot(self, _):
        return {"snapshot": self.tester.take_snapshot()}

    def revert(self, order):
        self.tester.revert_to_snapshot(order["snapshot"])
        return {"head": self.head()}

    def misbehave(self, order):
        """faults: answers of the next requests; wrong: values of methods for as long as it stands."""
        self.faults, self.wrong = order.get("faults", []), order.get("wrong", {})
        return {}

    def questions(self, _):
        return {"asked": self.asked}

    # The node.

    def call(self, method, params):
        if method in self.wrong:
            return self.wrong[method]
        return getattr(self, method)(*params)

    def eth_chainId(self):
        return hex(131277322940537)

    def eth_syncing(self):
        return False

    def eth_blockNumber(self):
        return hex(self.head())

    def block(self, number):
        try:
            block = self.tester.get_block_by_number(int(number, 16) if number.startswith("0x") else number)
        except BlockNotFound:
            return None
        # Only "pending" has no hash.
        return block if block["hash"] else None

    def eth_getBlockByNumber(self, number, full):
        block = self.block(number)
        if block is None:
            return None
        transactions = [self.eth_getTransactionByHash(hash) if full else hash for hash in block["transactions"]]
        return {"number": hex(block["number"]), "hash": block["hash"], "transactions": transactions}

    def eth_getTransactionByHash(self, hash):
        try:
            found = self.tester.get_transaction_by_hash(hash)
        except TransactionNotFound:
            return None
        is_mined = found["block_number"] is not None and found["block_hash"] is not None
        return {
            "hash": found["hash"], "to": found["to"] or None, "value": hex(found["value"]),
            "blockHash": found["block_hash"] if is_mined else None,
            "blockNumber": hex(found["block_number"]) if is_mined else None,
        }

    def eth_getTransactionReceipt(self, hash):
        try:
            receipt = self.tester.get_transaction_receipt(hash)
        except TransactionNotFound:
            return None
        if receipt["block_number"] is None or receipt["block_hash"] is None:
            return None
        # eth-tester counts the logs of a transaction; nodes count those of the block.
        before = self.tester.get_block_by_number(receipt["block_number"])["transactions"][: receipt["transaction_index"]]
        first = sum(len(self.tester.get_transaction_receipt(each)["logs"]) for each in before)
        logs = [
            {
                "address": log["address"], "topics": list(log["topics"]), "data": log["data"],
                "logIndex": hex(first + log["log_index"]),
                "blockNumber": hex(log["block_number"]), "blockHash": log["block_hash"],
                "transactionHash": log["transaction_hash"], "removed": False,
            }
            for log in receipt["logs"]
        ]
        return {
            "transactionHash": hash, "blockNumber": hex(receipt["block_number"]), "blockHash": receipt["block_hash"],
            "status": hex(receipt["status"]), "logs": logs,
        }

    def eth_getLogs(self, filter):
        found = []
        # Beyond the head real nodes answer with an empty list, too.
        for number in range(int(filter["fromBlock"], 16), min(int(filter["toBlock"], 16), self.head()) + 1):
            for hash in self.block(hex(number))["transactions"]:
                for log in self.eth_getTransactionReceipt(hash)["logs"]:
                    if log["address"].lower() in filter["address"] and log["topics"][0] == filter["topics"][0]:
                        found.append(log)
        return found


chain, lock = Chain(), threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            if self.path == "/control":
                try:
                    return self.answer(200, getattr(chain, request.pop("do"))(request))
                except Exception as error:
                    return self.answer(400, {"error": repr(error)})
            for each in request if isinstance(request, list) else [request]:
                chain.asked.append(" ".join([each["method"], *map(str, each["params"])]))
            fault = chain.faults.pop(0) if chain.faults else "none"
            if fault == "none":
                reply = [self.one(each) for each in request] if isinstance(request, list) else self.one(request)
                return self.answer(200, reply)
        self.fail(fault, request)

    def one(self, request):
        try:
            return {"jsonrpc": "2.0", "id": request["id"], "result": chain.call(request["method"], request["params"])}
        except Exception as error:
            return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": repr(error)}}

    def fail(self, fault, request):
        requests = request if isinstance(request, list) else [request]
        if fault in ("500", "429"):
            self.answer(int(fault), b"busy", [("Retry-After", "0")] if fault == "429" else [])
        elif fault == "garbage":
            self.answer(200, b"<html>out of order</html>")
        elif fault == "null":
            self.answer(200, [{"jsonrpc": "2.0", "id": each["id"], "result": None} for each in requests])
        elif fault == "error":
            error = {"code": -32000, "message": "header not found"}
            self.answer(200, [{"jsonrpc": "2.0", "id": each["id"], "error": error} for each in requests])
        elif fault == "hang":
            hanging.wait()
        elif fault == "drop":
            self.close_connection = True


hanging = threading.Event()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
os._exit(0)
