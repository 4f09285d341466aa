/// Columns that line up and fit the terminal.
struct Table {
    /// What a column gives up when the terminal is too narrow. The steps of all columns are
    /// taken in the order of their first number, until it fits.
    enum Yield {
        case shrink(Int, to: Int)
        case drop(Int)
        fileprivate var order: Int {
            switch self {
            case .shrink(let order, _), .drop(let order): order
            }
        }
    }

    struct Column {
        var title: String
        var alignsRight: Bool
        /// Cut in front instead of at the end.
        var keepsEnd: Bool
        var yields: [Yield]
        init(_ title: String, alignsRight: Bool = false, keepsEnd: Bool = false, yields: [Yield] = []) {
            self.title = title
            self.alignsRight = alignsRight
            self.keepsEnd = keepsEnd
            self.yields = yields
        }
    }
    private let columns: [Column]
    private var rows: [[Styled]] = []
    private let indent: Int
    private static let gap = 2

    init(_ columns: [Column], indent: Int = 0) {
        self.columns = columns
        self.indent = indent
    }

    /// As many cells as columns; missing ones are empty.
    mutating func add(_ cells: [Styled]) {
        rows.append(Array((cells + Array(repeating: "", count: columns.count)).prefix(columns.count)))
    }

    /// `width` nil: as wide as it gets. Columns without any text are left out.
    func lines(width: Int?) -> [Styled] {
        let (shown, widths) = fit(width)
        let hasTitles = shown.contains { !columns[$0].title.isEmpty }
        let titles = hasTitles ? [shown.map { Styled(columns[$0].title, .dim) }] : []
        let margin = Styled(String(repeating: " ", count: indent))
        return (titles + rows.map { row in shown.map { row[$0] } }).map { cells in
            zip(cells, shown).enumerated().reduce(margin) { line, next in
                let (position, (cell, index)) = next
                let column = columns[index]
                let cut = column.keepsEnd ? cell.lastColumns(widths[position]) : cell.truncated(to: widths[position])
                let space = Styled(position == 0 ? "" : String(repeating: " ", count: Self.gap))
                return line + space + cut.padded(to: widths[position], alignRight: column.alignsRight)
            }
        }
    }

    private func fit(_ width: Int?) -> (columns: [Int], widths: [Int]) {
        var widths: [Int: Int] = [:]
        for index in columns.indices where rows.contains(where: { $0[index].width > 0 }) {
            widths[index] = rows.reduce(columns[index].title.count) { max($0, $1[index].width) }
        }
        func excess() -> Int {
            indent + widths.values.reduce(0, +) + Self.gap * max(0, widths.count - 1) - (width ?? .max)
        }
        let steps = columns.indices.flatMap { index in columns[index].yields.map { (index, $0) } }
            .sorted { $0.1.order < $1.1.order }
        for (index, step) in steps {
            let excess = excess()
            guard excess > 0 else { break }
            guard let now = widths[index] else { continue }
            switch step {
            case .drop: widths[index] = nil
            case .shrink(_, let least): widths[index] = max(min(now, least), now - excess)
            }
        }
        let shown = widths.keys.sorted()
        return (shown, shown.compactMap { widths[$0] })
    }
}
