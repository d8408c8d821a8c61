// Readers of data: what they read, and what they say of files that are not as they must be.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <zlib.h>

#include "data/contents.hpp"
#include "data/csv.hpp"
#include "data/file_error.hpp"
#include "data/idx.hpp"

namespace train {
namespace {

using std::string_literals::operator""s;

template <class Call>
std::string message(const Call& call) {
  try {
    call();
  } catch (const FileError& error) {
    return error.what();
  }
  return "no error";
}

std::string csv_message(std::string_view text) {
  return message([&] { parse_csv("file.csv", text); });
}

TEST(Csv, ReadsValuesAndLabels) {
  const Dataset data = parse_csv("file.csv", "1,2.5,0\r\n-3,4e1,2\n\n");
  EXPECT_EQ(data.features, 2);
  EXPECT_EQ(data.classes, 3);
  EXPECT_EQ(data.x, (Values{1.0F, 2.5F, -3.0F, 40.0F}));
  EXPECT_EQ(data.labels, (std::vector<int>{0, 2}));
}

TEST(Csv, LastLineNeedsNoEnd) { EXPECT_EQ(parse_csv("file.csv", "1,0\n2,1").samples(), 2); }

TEST(Csv, NamesFileLineAndColumn) {
  EXPECT_EQ(csv_message(""), "file.csv:1:1: must have at least one sample; has none");
  EXPECT_EQ(csv_message("1,2,0\n1,x,0\n"), "file.csv:2:3: must be a number; was 'x'");
  EXPECT_EQ(csv_message("1,2,0\n1,,0\n"), "file.csv:2:3: must be a number; was ''");
  EXPECT_EQ(csv_message("1,2,0\n1,2 ,0\n"), "file.csv:2:3: must be a number; was '2 '");
  EXPECT_EQ(csv_message("1,nan,0\n"), "file.csv:1:3: must be a number between -1e30 and 1e30; was 'nan'");
  EXPECT_EQ(csv_message("1e31,1,0\n"), "file.csv:1:1: must be a number between -1e30 and 1e30; was '1e31'");
  EXPECT_EQ(csv_message("1,2,0\n1,2,-1\n"), "file.csv:2:5: must be a label, a whole number from 0 to 999; was '-1'");
  EXPECT_EQ(csv_message("1,2,0.5\n"), "file.csv:1:5: must be a label, a whole number from 0 to 999; was '0.5'");
  EXPECT_EQ(csv_message("1,2,1000\n"), "file.csv:1:5: must be a label, a whole number from 0 to 999; was '1000'");
  EXPECT_EQ(csv_message("7\n"), "file.csv:1:1: must be values and a label, separated by commas; was without a comma");
  EXPECT_EQ(csv_message("1,0\n\n2,1\n"), "file.csv:2:1: must be a sample; was an empty line");
}

TEST(Csv, LinesHaveEqualNumbersOfValues) {
  EXPECT_EQ(csv_message("1,2,0\n1,0\n"),
            "file.csv:2:4: must have 2 values and a label, as line 1 has; has 1 values and a label");
  EXPECT_EQ(csv_message("1,2,0\n1,2,3,0\n"),
            "file.csv:2:5: must be the end of the line, after 2 values and a label as in line 1; was another value");
}

// Two images of 1 x 2, and their labels.
const std::string images = "\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\x00\x01\xfe\xff"s;
const std::string labels = "\0\0\x08\x01\0\0\0\x02\x03\x00"s;

std::string idx_message(std::string_view of_images, std::string_view of_labels) {
  return message([&] { parse_idx("images", of_images, "labels", of_labels); });
}

std::string with_byte(std::string contents, std::size_t position, char byte) {
  contents[position] = byte;
  return contents;
}

TEST(Idx, ReadsImagesAndLabels) {
  const Dataset data = parse_idx("images", images, "labels", labels);
  EXPECT_EQ(data.features, 2);
  EXPECT_EQ(data.classes, 4);
  EXPECT_EQ(data.x, (Values{0.0F, 1.0F, 254.0F, 255.0F}));
  EXPECT_EQ(data.labels, (std::vector<int>{3, 0}));
}

TEST(Idx, NamesFileAndByte) {
  EXPECT_EQ(idx_message("", labels), "images: byte 0: the magic number must go up to byte 4; the file ends here");
  EXPECT_EQ(idx_message(with_byte(images, 1, '\1'), labels), "images: byte 1: must be 0, as IDX files begin; was 1");
  EXPECT_EQ(idx_message(with_byte(images, 2, '\x0d'), labels), "images: byte 2: must be 8, for unsigned bytes; was 13");
  EXPECT_EQ(idx_message(labels, labels), "images: byte 3: images must have at least 2 dimensions; have 1");
  EXPECT_EQ(idx_message(images, images), "labels: byte 3: labels must have 1 dimension; have 3");
  EXPECT_EQ(idx_message(with_byte(images, 11, '\0'), labels), "images: byte 8: a size must be at least 1; was 0");
}

TEST(Idx, EveryTruncationIsRefusedWhereItIs) {
  for (std::size_t length = 0; length < images.size(); ++length) {
    const std::string said = idx_message(images.substr(0, length), labels);
    EXPECT_EQ(said.rfind("images: byte " + std::to_string(length) + ":", 0), 0U) << said;
  }
  for (std::size_t length = 0; length < labels.size(); ++length) {
    const std::string said = idx_message(images, labels.substr(0, length));
    EXPECT_EQ(said.rfind("labels: byte " + std::to_string(length) + ":", 0), 0U) << said;
  }
}

TEST(Idx, RefusesWhatFollowsTheData) {
  EXPECT_EQ(idx_message(images + "x", labels), "images: byte 20: must be the end of the file; more bytes follow");
}

TEST(Idx, RefusesSizesThatOverflow) {
  const std::string huge = "\0\0\x08\x04"s + std::string(16, '\xff');
  EXPECT_EQ(idx_message(huge, labels),
            "images: byte 8: sizes must multiply to at most 2^40; were more with 4294967295");
}

TEST(Idx, ThereAreAsManyLabelsAsImages) {
  const std::string one = "\0\0\x08\x01\0\0\0\x01\x03"s;
  EXPECT_EQ(idx_message(images, one), "labels: byte 4: must be as many labels as images has images, 2; was 1");
}

class Contents : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "xbn_train_contents";
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& contents) {
    std::ofstream(folder_ / "data", std::ios::binary) << contents;
    return folder_ / "data";
  }

  std::string compressed(const std::string& contents) {
    const std::filesystem::path file = folder_ / "data.gz";
    gzFile stream = gzopen(file.c_str(), "wb");
    gzwrite(stream, contents.data(), static_cast<unsigned>(contents.size()));
    gzclose(stream);
    std::ifstream read(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(read), {}};
  }

  std::filesystem::path folder_;
};

TEST_F(Contents, OfPlainAndOfCompressedFiles) {
  const std::string text(100'000, 'x');
  EXPECT_EQ(read_contents(write(text)), text);
  EXPECT_EQ(read_contents(write(compressed(text))), text);
}

TEST_F(Contents, MissingFile) {
  EXPECT_NE(message([&] { read_contents(folder_ / "none.csv"); }).find("none.csv: must be a file that can be read"),
            std::string::npos);
}

TEST_F(Contents, Folder) {
  EXPECT_NE(message([&] { read_contents(folder_); }).find("must be readable to its end"), std::string::npos);
}

TEST_F(Contents, TruncatedCompressedFileIsRefusedWhereItEnds) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919 % 10'007) + '\n';
  const std::string whole = compressed(text);
  const std::string said = message([&] { read_contents(write(whole.substr(0, whole.size() / 2))); });
  EXPECT_NE(said.find("data: byte "), std::string::npos) << said;
  EXPECT_EQ(said.find("byte 0:"), std::string::npos) << said;
  EXPECT_NE(message([&] { read_contents(write(whole.substr(0, whole.size() - 4))); }), "no error");
}

TEST_F(Contents, DamagedCompressedFile) {
  std::string damaged = compressed(std::string(1000, 'a') + std::string(1000, 'b'));
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  EXPECT_NE(message([&] { read_contents(write(damaged)); }), "no error");
}

}  // namespace
}  // namespace train
