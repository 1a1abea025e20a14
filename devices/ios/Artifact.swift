// Reader of an artifact of edge_pipeline: its manifest, and the reference input of a program.
// NOT RUN: no Mac was available when this was written.

import CryptoKit
import Foundation

struct BenchError: Error, CustomStringConvertible {
    let description: String
}

struct TensorSpec: Decodable {
    let name: String
}

struct ProgramSpec: Decodable {
    let name: String
    let file: String
    let reference: String
    let outputs: [TensorSpec]
    let macs: Int
    let flops: Int
}

struct Source: Decodable {
    let model: String
}

struct Manifest: Decodable {
    let backend: String
    let precision: String
    let filters: String
    let source: Source
    let programs: [ProgramSpec]
}

struct Artifact {
    let folder: URL
    let manifest: Manifest
    let digest: String  // SHA-256 of manifest.json, which identifies the artifact

    init(folder: URL) throws {
        let content = try Data(contentsOf: folder.appendingPathComponent("manifest.json"))
        let decoder = JSONDecoder()
        self.folder = folder
        self.manifest = try decoder.decode(Manifest.self, from: content)
        self.digest = SHA256.hash(data: content).map { String(format: "%02x", $0) }.joined()
        guard manifest.backend == "coreml" else {
            throw BenchError(description: "\(folder.path) is for \(manifest.backend), not for Core ML")
        }
    }
}

struct Tensor {
    let shape: [Int]
    let values: [Float]
}

/// Reads and writes float32 tensors: a length (8 bytes, little endian), a JSON header, the data.
enum Safetensors {
    static func read(_ url: URL) throws -> [String: Tensor] {
        let data = try Data(contentsOf: url)
        guard data.count >= 8 else { throw BenchError(description: "\(url.path) is too short") }
        let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length > 0, 8 + length <= data.count else {
            throw BenchError(description: "\(url.path) is damaged")
        }
        let header = try JSONSerialization.jsonObject(with: data.subdata(in: 8..<8 + length))
        guard let entries = header as? [String: Any] else {
            throw BenchError(description: "\(url.path) has no header")
        }
        var found: [String: Tensor] = [:]
        for (name, entry) in entries where name != "__metadata__" {
            guard let fields = entry as? [String: Any], let kind = fields["dtype"] as? String,
                let shape = fields["shape"] as? [Int],
                let offsets = fields["data_offsets"] as? [Int], offsets.count == 2,
                8 + length + offsets[1] <= data.count
            else { throw BenchError(description: "\(url.path) has a damaged entry \(name)") }
            guard kind == "F32" else {
                throw BenchError(description: "\(name) is \(kind); only float32 can be measured")
            }
            let raw = data.subdata(in: 8 + length + offsets[0]..<8 + length + offsets[1])
            var values = [Float](repeating: 0, count: raw.count / 4)
            _ = values.withUnsafeMutableBytes { raw.copyBytes(to: $0) }
            found[name] = Tensor(shape: shape, values: values)
        }
        return found
    }

    static func write(_ tensors: [String: Tensor], to url: URL) throws {
        var header: [String: Any] = [:]
        var body = Data()
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            let start = body.count
            tensor.values.withUnsafeBytes { body.append(contentsOf: $0) }
            header[name] = [
                "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, body.count],
            ]
        }
        let text = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys])
        var content = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        content.append(text)
        content.append(body)
        try content.write(to: url, options: .atomic)
    }
}
