// Measures artifacts of edge_pipeline with Core ML, on an iPhone or a Mac, and writes one record of
// edge_pipeline's schema (version 2) per program as a JSON line, and the outputs for its check.
//
//     EdgeBench ARTIFACT... [--units all|cpu|cpu-gpu|cpu-ane] [--out FOLDER]
//
// docs/how-to/iphone.md has the steps to build and start it.
// NOT RUN: no Mac was available when this was written.

import CoreML
import Foundation

let warmups = 10
let leastRuns = 50
let leastSeconds = 5.0

func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

func milliseconds(_ start: UInt64, _ end: UInt64) -> Double { Double(end - start) / 1e6 }

func sysctl(_ name: String) -> String {
    var size = 0
    guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return "unknown" }
    var text = [CChar](repeating: 0, count: size)
    guard sysctlbyname(name, &text, &size, nil, 0) == 0 else { return "unknown" }
    return String(cString: text)
}

func array(of tensor: Tensor) throws -> MLMultiArray {
    let value = try MLMultiArray(shape: tensor.shape.map { NSNumber(value: $0) }, dataType: .float32)
    value.withUnsafeMutableBytes { pointer, _ in
        tensor.values.withUnsafeBytes { pointer.copyMemory(from: $0) }
    }
    return value
}

/// Returns the values in the order of the axes; Core ML may pad rows, and may return float16.
func tensor(of value: MLMultiArray) -> Tensor {
    let shape = value.shape.map { $0.intValue }
    let plain = MLShapedArray<Float>(converting: value)
    return Tensor(shape: shape, values: plain.scalars)
}

func percentile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let below = Int(place.rounded(.down))
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
}

func latency(of samples: [Double]) -> [String: Double] {
    let sorted = samples.sorted()
    let mean = samples.reduce(0, +) / Double(samples.count)
    let squares = samples.map { ($0 - mean) * ($0 - mean) }.reduce(0, +)
    return [
        "median_ms": percentile(sorted, 0.5), "p5_ms": percentile(sorted, 0.05),
        "p90_ms": percentile(sorted, 0.9), "p95_ms": percentile(sorted, 0.95),
        "p99_ms": percentile(sorted, 0.99), "min_ms": sorted[0], "max_ms": sorted[sorted.count - 1],
        "avg_ms": mean, "stddev_ms": (squares / Double(max(1, samples.count - 1))).squareRoot(),
    ]
}

let thermal: [ProcessInfo.ThermalState: String] = [
    .nominal: "none", .fair: "light", .serious: "severe", .critical: "critical",
]

/// Throttling is known only from the thermal state: `serious` and above lower the clock rates.
func sensors() -> [String: Any] {
    let state = ProcessInfo.processInfo.thermalState
    return [
        "thermal_status": thermal[state] ?? "none",
        "throttled": state == .serious || state == .critical,
    ]
}

func environment(_ units: String) -> [String: Any] {
    let info = ProcessInfo.processInfo
    var found: [String: Any] = [
        "system_name": "Apple \(sysctl("hw.machine"))",
        "host_processor_model_name": "Apple \(sysctl("hw.target"))",
        "host_processor_core_count": info.processorCount,
        "host_memory_bytes": Int(info.physicalMemory),
        "operating_system": "\(info.operatingSystemVersionString), arm64",
    ]
    if units != "cpu" { found["accelerator_model_name"] = "Core ML, \(units)" }
    return found
}

struct Session {
    let name = UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "")
    let units: String
    let out: URL
    let started = Date()
}

func computeUnits(_ name: String) throws -> MLComputeUnits {
    switch name {
    case "all": return .all
    case "cpu": return .cpuOnly
    case "cpu-gpu": return .cpuAndGPU
    case "cpu-ane": return .cpuAndNeuralEngine
    default: throw BenchError(description: "the units must be all, cpu, cpu-gpu or cpu-ane, got \(name)")
    }
}

func measure(_ program: ProgramSpec, of artifact: Artifact, in session: Session) throws {
    let before = sensors()
    let configuration = MLModelConfiguration()
    configuration.computeUnits = try computeUnits(session.units)
    let start = now()
    let compiled = try MLModel.compileModel(at: artifact.folder.appendingPathComponent(program.file))
    let model = try MLModel(contentsOf: compiled, configuration: configuration)
    let initMs = milliseconds(start, now())
    defer { try? FileManager.default.removeItem(at: compiled) }

    let reference = try Safetensors.read(artifact.folder.appendingPathComponent(program.reference))
    var inputs: [String: MLFeatureValue] = [:]
    var shapes: [String: [Int]] = [:]
    for (name, tensor) in reference where name.hasPrefix("input.") {
        let plain = String(name.dropFirst("input.".count))
        inputs[plain] = MLFeatureValue(multiArray: try array(of: tensor))
        shapes[plain] = tensor.shape
    }
    let features = try MLDictionaryFeatureProvider(dictionary: inputs)
    func run() throws -> Double {
        let begin = now()
        _ = try model.prediction(from: features)
        return milliseconds(begin, now())
    }
    let first = try run()
    for _ in 0..<warmups { _ = try run() }
    var samples: [Double] = []
    while samples.count < leastRuns || samples.reduce(0, +) < 1e3 * leastSeconds {
        samples.append(try run())
    }
    let after = sensors()

    let result = try model.prediction(from: features)
    var outputs: [String: Tensor] = [:]
    for spec in program.outputs {
        guard let value = result.featureValue(for: spec.name)?.multiArrayValue else {
            throw BenchError(description: "\(program.name) returns no \(spec.name)")
        }
        outputs[spec.name] = tensor(of: value)
    }
    let end = "\(program.name)-\(artifact.digest.prefix(16)).safetensors"
    try Safetensors.write(outputs, to: session.out.appendingPathComponent(end))

    let throttled = [before, after].contains { $0["throttled"] as? Bool == true }
    let record: [String: Any] = [
        "schema_version": 2, "session": session.name, "artifact": artifact.folder.lastPathComponent,
        "artifact_digest": artifact.digest, "program": program.name,
        "model": artifact.manifest.source.model, "backend": artifact.manifest.backend,
        "precision": artifact.manifest.precision, "filters": artifact.manifest.filters,
        "device": "ios:\(session.units)", "runner": "devices/ios", "threads": 1,
        "input_shapes": shapes, "macs": program.macs, "flops": program.flops, "model_bytes": 1,
        "import_ms": NSNull(), "init_ms": initMs, "first_inference_ms": first,
        "num_warmup_runs": warmups, "warmup_stable": NSNull(), "num_runs": samples.count,
        "latency": latency(of: samples), "samples_ms": samples, "preempted_runs": 0,
        "memory": NSNull(), "memory_detail": NSNull(), "verification": ["result": "not_run"],
        "environment": environment(session.units), "sensors_before": before,
        "sensors_after": after, "throttled": throttled,
        "versions": ["os": ProcessInfo.processInfo.operatingSystemVersionString],
        "measured": ISO8601DateFormatter().string(from: session.started),
    ]
    try append(record, to: session.out.appendingPathComponent("records.jsonl"))
    print("\(artifact.folder.lastPathComponent) \(program.name): \(percentile(samples.sorted(), 0.5)) ms")
}

func append(_ record: [String: Any], to url: URL) throws {
    var line = try JSONSerialization.data(withJSONObject: record, options: [.sortedKeys])
    line.append(0x0A)
    if !FileManager.default.fileExists(atPath: url.path) {
        FileManager.default.createFile(atPath: url.path, contents: nil)
    }
    let file = try FileHandle(forWritingTo: url)
    defer { try? file.close() }
    try file.seekToEnd()
    try file.write(contentsOf: line)
}

func documents(_ path: String) -> URL {
    if path.hasPrefix("/") { return URL(fileURLWithPath: path) }
    let base = FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]
    return base.appendingPathComponent(path)
}

func main() -> Int32 {
    var folders: [URL] = []
    var units = "all"
    var out = documents("results")
    var words = CommandLine.arguments.dropFirst()
    while let word = words.popFirst() {
        switch word {
        case "--units": units = words.popFirst() ?? ""
        case "--out": out = documents(words.popFirst() ?? "")
        default: folders.append(documents(word))
        }
    }
    do {
        guard !folders.isEmpty else { throw BenchError(description: "give the folders of artifacts") }
        try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
        let session = Session(units: units, out: out)
        for folder in folders {
            let artifact = try Artifact(folder: folder)
            for program in artifact.manifest.programs {
                try measure(program, of: artifact, in: session)
            }
        }
        return 0
    } catch {
        FileHandle.standardError.write(Data("error: \(error)\n".utf8))
        return 1
    }
}

exit(main())
