public import Primitives

/// A day of the proleptic Gregorian calendar.
public struct CivilDate: Hashable, Sendable {
  public let year: Int
  /// 1…12.
  public let month: Int
  /// 1…31.
  public let day: Int

  /// Nil when the month has no such day.
  public init?(year: Int, month: Int, day: Int) {
    guard abs(year) <= CivilDate.yearMax, month >= 1, month <= 12, day >= 1,
      day <= CivilDate.dayCount(ofMonth: month, year: year)
    else { return nil }
    self.year = year
    self.month = month
    self.day = day
  }

  /// Years beyond this are refused; they leave room in every product below.
  public static let yearMax = 200_000_000

  public static func isLeap(_ year: Int) -> Bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  }

  /// - Precondition: `month` is 1…12.
  public static func dayCount(ofMonth month: Int, year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01 to this day (Hinnant 2021, `days_from_civil`): years begin in March, so
  /// that the leap day is the last; 400 of them have 146,097 days.
  public var daysSinceEpoch: Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted.divided(by: 400, rounding: .down)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  /// The day that many days after 1970-01-01 (Hinnant 2021, `civil_from_days`).
  /// - Precondition: its year is within `yearMax`.
  public init(daysSinceEpoch days: Int) {
    precondition(abs(days) <= 365 * CivilDate.yearMax, "a day beyond the calendar")
    let shifted = days + 719_468
    let era = shifted.divided(by: 146_097, rounding: .down)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }
}

extension CivilDate {
  /// Milliseconds in a day; protocol time has no leap seconds.
  public static let millisecondsPerDay: Int64 = 86_400_000

  /// The day a time falls on, in UTC, and the milliseconds since its midnight.
  public static func split(_ time: Timestamp) -> (date: CivilDate, milliseconds: Int64)? {
    let days = time.raw.divided(by: millisecondsPerDay, rounding: .down)
    guard abs(days) <= Int64(365 * yearMax) else { return nil }
    return (CivilDate(daysSinceEpoch: Int(days)), time.raw - days * millisecondsPerDay)
  }

  /// This day at `milliseconds` past midnight UTC.
  public func time(milliseconds: Int64 = 0) -> Timestamp {
    Timestamp(raw: Int64(daysSinceEpoch) * CivilDate.millisecondsPerDay + milliseconds)
  }
}
